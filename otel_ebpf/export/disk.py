"""What cannot be sent, on disk until it can: a source of batches that is put before another one.

While the backend answers nothing is written: batches go from memory to the sender. From the first
attempt that fails, or from when memory is half full, everything goes through the disk, until that is
empty: so the order stays, and an agent that is killed loses a quarter of a second.

The sender's thread and the one here take turns by a lock; the thread that puts never waits for it.
"""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import Final

from otel_ebpf.export.disk_file import DiskFile
from otel_ebpf.export.own import Level
from otel_ebpf.export.queue import Batch, Source

__all__ = ["DiskQueue"]

SPILL_SECONDS: Final = 0.25


class DiskQueue:
    """A `Source` of what is on disk, which goes first, and of what `source` has."""

    def __init__(self, source: Source, file: DiskFile) -> None:
        """`file` is this queue's own."""
        self.wake = source.wake
        self._source = source
        self._file = file
        self._left: Batch | None = None
        """Taken from the source and not written, since that could not be: the next after what is on disk."""
        self._lock = Lock()
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="keep", daemon=True)

    def level(self) -> Level:
        """Return how full the queue in memory is: what is on disk is beyond it."""
        return self._source.level()

    def start(self) -> None:
        """Open the file and write what waits, on a thread: the sender may be held up by its backend."""
        self._thread.start()

    def _watch(self) -> None:
        while True:
            with self._lock:
                if self._file.holds_any() or self._source.crowded():
                    self._spill()
            if self._stopping.wait(SPILL_SECONDS):
                return

    def _spill(self) -> bool:
        """Write all that is in memory, for as long as that can be done. Under the lock."""
        first = self._file.under_way
        if first is not None and not self._file.holds_any() and not self._is_kept(first):
            return False  # it goes before what waits, which else would come first
        while (batch := self._left or self._source.take(partial=True)) is not None:
            self._left = batch
            if not self._is_kept(batch):
                return False
            self._left = None
        return True

    def _is_kept(self, batch: Batch) -> bool:
        """Say whether a batch is on disk, where it is written if need be. Under the lock."""
        if not batch.row:
            if not self._file.write(batch):
                return False
            self._source.release(batch)
            batch.size = 0
        return True

    def take(self, partial: bool) -> Batch | None:
        """Return what is oldest on disk; the next batch of the source when nothing is there."""
        with self._lock:
            batch = self._file.oldest() if self._file.holds_any() else None
            if batch is None:
                batch, self._left = self._left or self._source.take(partial), None
            self._file.under_way = batch
            return batch

    def keep(self, batch: Batch) -> bool:
        """Have a batch that was taken on disk, from where it comes again in its turn, if that can be."""
        with self._lock:
            if self._is_kept(batch):
                self._file.under_way = None
                return True
            return False

    def release(self, batch: Batch) -> None:
        """Forget a batch that is settled."""
        with self._lock:
            self._file.under_way = None
            if batch.row:
                self._file.remove(batch)
            else:
                self._source.release(batch)

    def tick(self) -> None:
        """Let the source note the time."""
        self._source.tick()

    def crowded(self) -> bool:
        """Whether the source is."""
        return self._source.crowded()

    def discard(self) -> int:
        """Write what is queued, close the file, and return how many items could not be written."""
        self._stopping.set()
        with self._lock:
            # A file that is found damaged now is set aside: then another is begun.
            _ = self._spill() or self._spill()
            lost = self._source.discard() + (self._left.items if self._left else 0)
            self._left = None
            self._file.close()
        return lost
