"""Metrics on their way out: a few intervals wait, in a queue of their own, for a thread of their own.

`signals` builds MetricsData with one ResourceMetrics for each service. They are encoded with the
stock encoder by the sending thread, one service at a time, and put together into requests that any
gRPC server takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from logging import ERROR, WARNING, getLogger
from threading import Event, Lock
from time import monotonic
from typing import Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics

from otel_ebpf.export.books import POINTS
from otel_ebpf.export.own import Level
from otel_ebpf.export.queue import Batch
from otel_ebpf.export.throttle import Throttle
from otel_ebpf.kernel.ledger import Shard

__all__ = ["MetricQueue", "count_points"]

logger = getLogger(__name__)

MAXIMUM_POINTS: Final = 200_000
"""Data points that may wait: at 0.3 KB each, the memory that an unreachable backend may cost."""
_FULL: Final = (
    "the export queue is full: %d metric data points dropped; the backend is too slow or away, "
    "or OTEL_METRIC_EXPORT_INTERVAL too short"
)


def count_points(resources: Iterable[ResourceMetrics]) -> int:
    """Return the number of data points of `resources`."""
    return sum(
        len(metric.data.data_points)
        for resource in resources
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


class MetricQueue:
    """A `queue.Source` of metrics. When it is full the newest are dropped, counted, and said."""

    def __init__(self, request_size: int, shard: Shard, points: int = MAXIMUM_POINTS) -> None:
        """`request_size` is in bytes, `points` how many may wait. `shard` is the queue's own."""
        self.wake = Event()
        self._request_size = request_size
        self._counts = shard.counts
        self._room = points
        self._items: deque[tuple[ResourceMetrics, int, float]] = deque()
        self._waiting = 0
        self._closed = False
        self._lock = Lock()
        self._full = Throttle(logger, WARNING)
        self._bad = Throttle(logger, ERROR)
        self._left: Batch | None = None

    def level(self) -> Level:
        """Return how many data points wait, or are being sent, and how many may."""
        return Level(self._waiting, self._room)

    def put(self, data: MetricsData) -> None:
        """Queue the metrics of an interval. Any thread; never blocks on the backend, never raises."""
        now = monotonic()
        for resource in data.resource_metrics:
            points = count_points((resource,))
            with self._lock:
                self._put(resource, points, now)
        self.wake.set()

    def _put(self, resource: ResourceMetrics, points: int, now: float) -> None:
        self._counts[POINTS.seen] += points
        if self._closed:
            self._counts[POINTS.shutdown] += points
        elif self._waiting + points > self._room:
            self._counts[POINTS.queue_full] += points
            self._full.add(points, _FULL)
        else:
            self._counts[POINTS.in_flight] += points
            self._waiting += points
            self._items.append((resource, points, now))

    def take(self, partial: bool) -> Batch | None:
        """Return the next request; there is no sense in waiting for more, so `partial` does not matter."""
        batch, self._left = self._left, None
        while self._items:
            resource, points, born = self._items.popleft()
            body = self._encode(resource, points)
            if not body:
                continue
            if batch is None:
                batch = Batch(body, points, points, born)
            elif len(batch.body) + len(body) > self._request_size:
                self._left = Batch(body, points, points, born)
                break
            else:
                # Requests of one repeated field: put end to end they are one request with both.
                batch = Batch(batch.body + body, batch.items + points, batch.size + points, batch.born)
        return batch

    def _encode(self, resource: ResourceMetrics, points: int) -> bytes:
        try:
            return bytes(encode_metrics(MetricsData([resource])).SerializeToString())
        except Exception as problem:  # whatever the encoder meets, the other services' metrics go on
            with self._lock:
                self._waiting -= points
                self._counts[POINTS.failed] += points
                self._counts[POINTS.in_flight] -= points
                text = "%d metric data points could not be encoded, please report this line: %r"
                self._bad.add(points, text, problem)
            return b""

    def tick(self) -> None:
        """Intervals carry their time; nothing to note."""

    def keep(self, batch: Batch) -> bool:
        """Keep nothing, as `queue.SpanQueue`."""
        return False

    def crowded(self) -> bool:
        """Whether more than half of the room is taken."""
        return 2 * self._waiting > self._room

    def release(self, batch: Batch) -> None:
        """Make room for as many points as the batch had."""
        with self._lock:
            self._waiting -= batch.size

    def discard(self) -> int:
        """Close the queue, drop what is in it, and return how many data points that was."""
        with self._lock:
            self._closed = True
            number = sum(points for _, points, _ in self._items) + (self._left.items if self._left else 0)
            self._items.clear()
            self._left = None
        self._full.flush(_FULL)
        return number
