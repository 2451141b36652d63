"""The file of the queue on disk: opened, bounded, set aside when it is damaged, and its books kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import takewhile
from logging import ERROR, INFO, WARNING, getLogger
from time import monotonic, time
from typing import Final, TypeVar

from otel_ebpf.export.books import Books
from otel_ebpf.export.disk_directory import QueueDirectory
from otel_ebpf.export.queue import Batch
from otel_ebpf.export.settings import DiskSettings, QueueSettings
from otel_ebpf.export.store import BadStoreError, ForeignStoreError, Row, Store, StoreError
from otel_ebpf.export.throttle import Throttle
from otel_ebpf.kernel.ledger import Entry, Shard

__all__ = ["DiskFile"]

logger = getLogger(__name__)

T = TypeVar("T")

OPEN_SECONDS: Final = 10.0
"""Between two attempts to open a file."""
SAY_SECONDS: Final = 300.0
"""Between two lines that say why the disk cannot be used."""

_DROPPED: Final = "%d %s were dropped from the disk queue: %s"
_FULL: Final = (
    "it has reached max_bytes, and the oldest had to go; raise export.disk_queue.max_bytes to keep more"
)
_DAMAGED: Final = "the file is damaged; is its disk well?"
_UNUSABLE: Final = (
    "%d times the disk queue in %s could not be used, the last because: %s; %s wait in memory: mend "
    "that, or set export.disk_queue.directory to another"
)


class DiskFile:
    """Batches on disk. What cannot be done now is counted and said, and raises nothing. One thread at a time.

    `under_way` is the batch that is being sent: what is dropped meanwhile is not dropped under its sender.
    """

    def __init__(
        self,
        directory: QueueDirectory,
        name: str,
        disk: DiskSettings,
        queue: QueueSettings,
        *,
        books: Books,
        shard: Shard,
    ) -> None:
        """`name` is the file's; `shard` is its own, too."""
        self.under_way: Batch | None = None
        self._directory = directory
        self._name = f"{name}.sqlite"
        self._disk = disk
        self._queue = queue
        self._books = books
        self._counts = shard.counts
        self._store: Store | None = None
        self._next_opening = 0.0
        self._dropped: defaultdict[int, Throttle] = defaultdict(lambda: Throttle(logger, WARNING))
        self._unusable = Throttle(logger, ERROR, SAY_SECONDS)

    def holds_any(self) -> bool:
        """Whether there is anything on disk; opens the file if need be."""
        store = self._opened()
        return store is not None and store.rows > 0

    def write(self, batch: Batch) -> bool:
        """Write a batch behind the others, and say whether that could be done."""
        spared = self.under_way.row if self.under_way else 0
        born = time() - (monotonic() - batch.born)
        lost = self._do(lambda store: store.append(born, batch.items, batch.body, spared))
        if lost is None or self._store is None:
            return False
        batch.row = self._store.last
        self._counts[self._books.in_flight] -= batch.items
        self._counts[self._books.on_disk] += batch.items
        self._drop(self._books.disk_full, lost, _FULL)
        return True

    def oldest(self) -> Batch | None:
        """Return the oldest that is neither too old nor damaged; several batches as one request."""
        while (store := self._store) is not None and store.rows:
            rows = self._do(lambda store: store.oldest(self._queue.request_size, self._queue.batch))
            if rows is None:
                return None
            if not rows:
                why = "they are not in the file any more; who else writes there?"
                self._give_up(store, store.last, store.items, self._books.disk_corrupt, why)
                return None
            if damaged := [*takewhile(lambda row: row.body is None, rows)]:
                why = "what is in the file is not what was written; is its disk well?"
                self._give_up(store, damaged[-1].number, _items(damaged), self._books.disk_corrupt, why)
            elif old := [*takewhile(self._is_old, rows)]:
                why = "they were older than export.disk_queue.max_age_seconds; was the backend up?"
                self._give_up(store, old[-1].number, _items(old), self._books.disk_expired, why)
            else:
                return self._joined(store, [*takewhile(lambda row: row.body is not None, rows)])
        return None

    def _is_old(self, row: Row) -> bool:
        return row.body is not None and row.born < time() - self._disk.age

    def _give_up(self, store: Store, last: int, items: int, entry: int, why: str) -> None:
        lost = min(items, store.items)
        self._drop(entry, lost, why)
        self._remove(last, lost)

    def _joined(self, store: Store, rows: Sequence[Row]) -> Batch | None:
        """Return one request: requests of one repeated field, put end to end, are one with all of them."""
        items = _items(rows)
        if items > store.items:
            self._set_aside(store, "it does not hold what was written")
            return None
        born = monotonic() - (time() - rows[0].born)
        return Batch(b"".join(row.body or b"" for row in rows), items, 0, born, rows[-1].number)

    def remove(self, batch: Batch) -> None:
        """Take a batch that is settled off the disk."""
        row = batch.row
        self._take_off(batch)
        self._remove(row, batch.items)

    def _remove(self, last: int, items: int) -> None:
        self._do(lambda store: store.remove(last, items))
        if self._do(Store.is_done_with):
            self._do(self._begin_anew)

    def _begin_anew(self, store: Store) -> None:
        """Give the room of an empty file back, which on a full disk no deletion of rows does."""
        self._directory.delete(self._name)
        store.close()
        self._store = None
        self._next_opening = 0.0

    def _take_off(self, batch: Batch) -> None:
        """Enter that a batch is in memory alone."""
        batch.row = 0
        self._counts[self._books.on_disk] -= batch.items
        self._counts[self._books.in_flight] += batch.items

    def close(self) -> None:
        """Leave what is there to the next start."""
        self._next_opening = float("inf")
        if self._store is not None:
            if self._store.items:
                text = "%d %s stay in %s, to be sent after the next start"
                logger.log(INFO, text, self._store.items, self._books.unit, self._directory.path)
            self._store.close()
            self._store = None

    def _drop(self, entry: int, number: int, why: str) -> None:
        if number:
            self._counts[entry] += number
            self._counts[self._books.on_disk] -= number
            self._dropped[entry].add(number, _DROPPED, self._books.unit, why)

    def _do(self, action: Callable[[Store], T]) -> T | None:
        """Return what `action` does; None if it cannot be done, which is counted and said."""
        store = self._opened()
        if store is None:
            return None
        try:
            return action(store)
        except BadStoreError as error:
            self._set_aside(store, str(error))
        except StoreError as error:
            self._say(error)
        return None

    def _opened(self) -> Store | None:
        if self._store is None and monotonic() >= self._next_opening:
            self._next_opening = monotonic() + OPEN_SECONDS
            try:
                self._directory.claim()
                self._store = self._open()
            except StoreError as error:
                self._say(error)
        return self._store

    def _open(self) -> Store:
        path = self._directory.path / self._name
        try:
            store = Store(path, self._disk.size)
        except ForeignStoreError as error:
            self._rename("version", str(error))
            self._counts[Entry.DISK_QUEUE_VERSION] += 1
            store = Store(path, self._disk.size)
        except BadStoreError as error:
            self._rename("damaged", str(error))
            self._counts[Entry.DISK_QUEUE_CORRUPT] += 1
            store = Store(path, self._disk.size)
        self._counts[self._books.recovered] += store.items
        self._counts[self._books.on_disk] += store.items
        if store.items:
            text = "%d %s of an earlier run are in %s, and go first"
            logger.log(INFO, text, store.items, self._books.unit, self._directory.path)
        return store

    def _set_aside(self, store: Store, why: str) -> None:
        """Begin anew: with what is being sent, which is in memory, and without the rest."""
        if self.under_way is not None and self.under_way.row:
            store.items -= self.under_way.items
            self._take_off(self.under_way)
        self._drop(self._books.disk_corrupt, store.items, _DAMAGED)
        store.close()
        self._store = None
        try:
            self._rename("damaged", why)
            self._counts[Entry.DISK_QUEUE_CORRUPT] += 1
        except StoreError as error:
            self._say(error)

    def _rename(self, suffix: str, why: str) -> None:
        kept = self._directory.set_aside(self._name, suffix)
        text = (
            "%s cannot be read (%s), and another is begun: it is set aside as %s, to be looked at or deleted"
        )
        logger.error(text, self._name, why, kept)

    def _say(self, error: StoreError) -> None:
        self._counts[Entry.DISK_QUEUE_UNWRITABLE] += 1
        self._unusable.add(1, _UNUSABLE, self._directory.path, error, self._books.unit)


def _items(rows: Sequence[Row]) -> int:
    return sum(row.items for row in rows)
