"""Encoded spans between the thread that reads and the thread that sends.

One thread puts and one thread takes. A put takes no lock and makes no system call: an append to a
deque is atomic, each counter has one writer, and the sender is woken once for each full batch.
Hot path: 0.4 us a put (benchmarks/user_space.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from logging import WARNING, getLogger
from threading import Event
from time import monotonic
from typing import Final, Protocol

from otel_ebpf.export.books import SPANS
from otel_ebpf.export.own import Level
from otel_ebpf.export.request import encode_request
from otel_ebpf.export.settings import QueueSettings
from otel_ebpf.export.throttle import Throttle
from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.ledger import Shard

__all__ = ["Batch", "Source", "SpanQueue"]

logger = getLogger(__name__)

SPAN_OVERHEAD: Final = 104
"""Bytes that a queued span takes beside its own: the pair, the bytes object's header, the slot."""
MARK_INTERVAL: Final = 1.0

_SEEN, _QUEUE_FULL, _SHUTDOWN, _IN_FLIGHT = SPANS.seen, SPANS.queue_full, SPANS.shutdown, SPANS.in_flight
_FULL = (
    "the export queue is full: %d spans dropped; the backend is too slow or away, "
    "or OTEL_BSP_MAX_QUEUE_SIZE too small"
)


@dataclass(slots=True)
class Batch:
    """One request, encoded, with what it stands for."""

    body: bytes
    items: int
    size: int
    """Bytes to give back to the queue when the batch is settled."""
    born: float
    """Monotonic time at which its oldest item was queued, to MARK_INTERVAL seconds, never earlier."""
    row: int = 0
    """Number of its last row on disk (`disk`); 0 while it is in memory alone."""


class Source(Protocol):
    """Where a sender gets its batches. All but `wake` and `level` are for one thread at a time."""

    wake: Event

    def level(self) -> Level:
        """Return how many items wait, and how many may."""

    def take(self, partial: bool) -> Batch | None:
        """Return the next full batch, with `partial` what there is; None for nothing."""

    def tick(self) -> None:
        """Called about once a second while batches wait."""

    def keep(self, batch: Batch) -> bool:
        """Keep a batch that could not be sent, to return it again; False if only the sender has it."""

    def release(self, batch: Batch) -> None:
        """Forget a batch that is settled."""

    def crowded(self) -> bool:
        """Whether more than half of the room is taken."""

    def discard(self) -> int:
        """Take nothing more in, drop what is queued, and return how many items that was."""


class SpanQueue:
    """Bounded by number and by bytes; when full the newest span is dropped, counted, and said."""

    def __init__(self, settings: QueueSettings, shard: Shard) -> None:
        """`shard` is the putting thread's."""
        self.wake = Event()
        self._settings = settings
        self._counts = shard.counts
        self._items: deque[tuple[Service, bytes]] = deque()
        self._room = settings.spans
        self._size = settings.size
        self._batch = min(settings.batch, settings.spans)
        self._closed = False
        self._full = Throttle(logger, WARNING)
        self._put_number = 0  # written by the putting thread, as _put_size
        self._put_size = 0
        self._next_wake = self._batch
        self._taken_number = 0  # written by the sender, as _freed_size
        self._freed_size = 0
        self._marks: deque[tuple[int, float]] = deque()

    def level(self) -> Level:
        """Return how many spans wait, and how many may."""
        return Level(len(self._items), self._settings.spans)

    def put(self, service: Service, encoded: bytes) -> None:
        """Queue one encoded span. Never blocks and never raises."""
        counts = self._counts
        counts[_SEEN] += 1
        size = self._put_size + len(encoded) + SPAN_OVERHEAD
        if len(self._items) >= self._room or size - self._freed_size > self._size:
            self._refuse()
            return
        self._put_size = size
        counts[_IN_FLIGHT] += 1
        self._items.append((service, encoded))
        self._put_number = number = self._put_number + 1
        if number >= self._next_wake:
            self._next_wake = number + self._batch
            self.wake.set()

    def _refuse(self) -> None:
        if self._closed:
            self._counts[_SHUTDOWN] += 1
            return
        self._counts[_QUEUE_FULL] += 1
        self._full.add(1, _FULL)

    def take(self, partial: bool) -> Batch | None:
        """Return the next batch: full, or when `partial` what there is."""
        items = self._items
        number = min(len(items), self._batch)
        if number == 0 or (number < self._batch and not partial):
            return None
        spans: list[tuple[Service, bytes]] = []
        size = 0
        for _ in range(number):
            length = len(items[0][1])
            if spans and size + length > self._settings.request_size:
                break
            size += length
            spans.append(items.popleft())
        born = self._born(self._taken_number)
        self._taken_number += len(spans)
        return Batch(encode_request(spans), len(spans), size + SPAN_OVERHEAD * len(spans), born)

    def tick(self) -> None:
        """Note the time, so that the age of what was put before is known without a stamp on each."""
        now = monotonic()
        marks = self._marks
        if not marks or (marks[-1][0] != self._put_number and now - marks[-1][1] >= MARK_INTERVAL):
            marks.append((self._put_number, now))

    def _born(self, number: int) -> float:
        """Return when the span with this running number was put, as far as the marks tell."""
        marks = self._marks
        while marks and marks[0][0] <= number:
            marks.popleft()
        return marks[0][1] if marks else monotonic()

    def keep(self, batch: Batch) -> bool:
        """Keep nothing: there is no room for what has been taken. See `disk.DiskQueue`."""
        return False

    def release(self, batch: Batch) -> None:
        """Give the bytes of a settled batch back."""
        self._freed_size += batch.size

    def crowded(self) -> bool:
        """Whether more than half of the room is taken."""
        return 2 * len(self._items) > self._room or 2 * (self._put_size - self._freed_size) > self._size

    def discard(self) -> int:
        """Close the queue, drop what is in it, and return how many spans that was."""
        self._closed = True
        self._room = -1
        number = len(self._items)
        for _ in range(number):
            self._items.popleft()
        self._full.flush(_FULL)
        return number
