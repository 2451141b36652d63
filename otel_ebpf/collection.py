"""Metrics on their way out: copied on the reader's thread, converted and handed on by another."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from otel_ebpf.export.own import Own
from otel_ebpf.health import Pulse
from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.signals.instruments import Instruments, Snapshot

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

__all__ = ["Collection"]

LEAVING_MOST: Final = 500
"""Processes that have ended and whose series wait: at some 20 KB each, what churn costs between exports."""

_STOP_SECONDS: Final = 0.3


class Collection:
    """Collects `instruments`, and what the agent counts of its `own`; either may be None for not wanted."""

    def __init__(
        self,
        send: Callable[[MetricsData], None],
        temporality: str,
        instruments: Instruments | None,
        own: Callable[[], Own] | None,
        started: int,
        *,
        own_attributes: Attributes,
    ) -> None:
        """`own_attributes` are those of the agent's resource, under which its `own` goes."""
        self._send = send
        self._temporality = temporality
        self._instruments = instruments
        self._own = own
        self._started = started
        self._own_attributes = dict(own_attributes)
        self._queue: SimpleQueue[tuple[Snapshot | None, Own | None, int] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self.pulse = Pulse("makes metrics")

    def collect(self, ended: Set[Service] = frozenset()) -> None:
        """Copy out what there is; everything else happens on the other thread.

        Where so many services have `ended` that `make_room` takes them soon, it is not done twice.
        """
        if self._instruments is None and self._own is None:
            return
        now = time.time_ns()
        later = ended if len(ended) >= LEAVING_MOST else frozenset[Service]()
        snapshot = self._instruments.collect(now, later) if self._instruments else None
        self._hand_on(snapshot, self._own() if self._own else None, now)

    def make_room(self) -> None:
        """Hand on what processes that have ended leave, where they are too many to wait for `collect`."""
        if self._instruments is not None and self._instruments.leaving >= LEAVING_MOST:
            now = time.time_ns()
            self._hand_on(self._instruments.collect_leaving(now), None, now)

    def stop(self) -> None:
        """Hand on what is queued."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_STOP_SECONDS)

    def _hand_on(self, snapshot: Snapshot | None, own: Own | None, now: int) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._convert, name="metrics", daemon=True)
            self._thread.start()
        self._queue.put((snapshot, own, now))

    def _convert(self) -> None:
        self.pulse.begin()
        # On this thread and only if there are metrics: the SDK's metrics take 4 MB and 0.1 s.
        from otel_ebpf.export.self_telemetry import SelfTelemetry  # noqa: PLC0415
        from otel_ebpf.signals.metric_data import resource_metrics, resource_of, temporality_of  # noqa: PLC0415

        temporality = temporality_of(self._temporality)
        own = SelfTelemetry(self._own_attributes, self._started, self._temporality == "delta")
        while (item := self._queue.get()) is not None:
            snapshot, counted, now = item
            if snapshot is not None:
                self._send(resource_metrics(snapshot, temporality, resource_of))
            if counted is not None:
                self._send(own.collect(counted, now))
        self.pulse.end()
