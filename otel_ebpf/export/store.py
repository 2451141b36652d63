"""Batches in a SQLite file, oldest first, in the order in which they were appended.

What `append` has returned for outlives the process, however that ends: in SQLite's write-ahead log a
commit is one write, which the kernel has. It is not synchronized (`synchronous=NORMAL`), so that a power
failure may take the latest commits, but never leaves half of one. The file is this connection's alone
(`locking_mode=EXCLUSIVE`), which also spares the shared memory beside it.

One thread at a time; `disk` is who holds the lock.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["VERSION", "BadStoreError", "ForeignStoreError", "Row", "Store", "StoreError"]

VERSION: Final = 1
"""Of the schema. A file of another version is not read."""

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE batch (number INTEGER PRIMARY KEY, born REAL, items INTEGER, sum INTEGER, body BLOB);
PRAGMA user_version = {VERSION};
COMMIT;
"""
_ITEMS: Final = "CASE WHEN typeof(items) = 'integer' AND items BETWEEN 1 AND 16777216 THEN items ELSE 0 END"
"""What a row says that it holds, or nothing if that cannot be: what is in a file may be anything."""
_ROWS_AT_ONCE: Final = 512
_LARGE_FILE: Final = 1 << 20
_LAST_NUMBER: Final = 1 << 62
_BAD: Final = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("CORRUPT", "NOTADB", "FORMAT", "ERROR", "CONSTRAINT", "MISMATCH", "TOOBIG", "RANGE")
)


class StoreError(Exception):
    """The store cannot be written (or opened) now: a full disk, a read-only one, no permission."""


class BadStoreError(StoreError):
    """What is in the file is damaged."""


class ForeignStoreError(StoreError):
    """The file is of another version."""


class Row(NamedTuple):
    """A batch as it was appended; `body` is None where the bytes are others than those."""

    number: int
    born: float  # seconds of the Unix epoch
    items: int
    body: bytes | None


class Store:
    """`rows` batches with `items` items, as far as is known without reading their bodies.

    `last` is the number of the newest one.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Open or make the file at `path`, which grows to `limit` bytes. Raises StoreError."""
        self._done = 0  # rows up to this number are done with, also if they could not be deleted
        _make(path)
        with _translated(reading=True):
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            with _translated(reading=True):
                self._prepare()
                query = f"SELECT count(*), min(number), max(number), sum({_ITEMS}) FROM batch"  # noqa: S608
                self.rows, first, self.last, self.items = self._numbers(query)
            if first < 0 or self.last > _LAST_NUMBER:
                raise BadStoreError("it has numbers that this program does not give")
        except StoreError:
            self.close()
            raise
        self._pages = limit // self._page_size

    def _prepare(self) -> None:
        self._connection.text_factory = bytes  # a text is none of ours, and may be no UTF-8
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA cell_size_check = ON")
        self._connection.execute("PRAGMA temp_store = MEMORY")
        version = self._number("PRAGMA user_version")
        if version == 0 and self._number("SELECT count(*) FROM sqlite_master") == 0:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
        elif version != VERSION:
            raise ForeignStoreError(f"it is of version {version}, this agent's is {VERSION}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._page_size = self._number("PRAGMA page_size")

    def _numbers(self, query: str, *values: object) -> list[int]:
        """Return the one row that a query has, of numbers; 0 for NULL."""
        return [int(value or 0) for value in self._connection.execute(query, values).fetchone()]

    def _number(self, query: str) -> int:
        return self._numbers(query)[0]

    def append(self, born: float, items: int, body: bytes, spared: int = 0) -> int:
        """Write a batch; return how many items of the oldest rows had to go for it.

        Rows up to the number `spared` stay. Raises StoreError; then nothing has changed.
        """
        number = self.last + 1
        wanted = len(body) // (self._page_size - 4) + 2  # an overflow page's first 4 bytes name the next
        if wanted > self._pages:
            raise StoreError("a batch is larger than max_bytes")
        with self._transaction():
            gone, lost = self._evict(wanted, spared)
            self._connection.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?)",
                (number, born, items, _sum(number, born, items, body), body),
            )
        self.last = number
        self.rows += 1 - gone
        self.items += items - lost
        return lost

    def _evict(self, wanted: int, spared: int) -> tuple[int, int]:
        """Delete the oldest rows until `wanted` pages are free; return how many rows and items that was."""
        gone = lost = 0
        while self._used() + wanted > self._pages:
            query = f"SELECT number, {_ITEMS} FROM batch WHERE number > ? ORDER BY number LIMIT 1"  # noqa: S608
            row = self._connection.execute(query, (max(self._done, spared),)).fetchone()
            if row is None:
                raise StoreError("a batch does not fit into max_bytes beside the one that is being sent")
            self._connection.execute("DELETE FROM batch WHERE number = ?", (row[0],))
            gone += 1
            lost += row[1]
        return gone, lost

    def _used(self) -> int:
        return self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")

    def oldest(self, size: int, items: int) -> list[Row]:
        """Return the oldest rows, as many as have `size` bytes and `items` items; one at least, if any."""
        with _translated(reading=True):
            query = f"SELECT number, {_ITEMS}, length(body) FROM batch WHERE number > ?"  # noqa: S608
            heads = self._connection.execute(
                f"{query} ORDER BY number LIMIT {_ROWS_AT_ONCE}", (self._done,)
            ).fetchall()
            last = None
            for number, held, length in heads:
                items -= held
                size -= length or 0
                if last is not None and (items < 0 or size < 0):
                    break
                last = number
            query = f"SELECT number, born, {_ITEMS}, sum, body FROM batch"  # noqa: S608
            return [
                _row(*row)
                for row in self._connection.execute(
                    f"{query} WHERE number > ? AND number <= ? ORDER BY number", (self._done, last)
                )
            ]

    def remove(self, last: int, items: int) -> None:
        """Delete the rows up to the number `last`, which hold `items` items.

        They do not come again even where that raises StoreError; then the next removal deletes them.
        """
        self._done = last
        self.items -= items
        with self._transaction():
            deleted = self._connection.execute("DELETE FROM batch WHERE number <= ?", (last,))
        self.rows = self.rows - deleted.rowcount if last < self.last else 0

    def is_done_with(self) -> bool:
        """Whether nothing is needed of the file, which is large, or could not be told so."""
        with _translated():
            large = self._number("PRAGMA page_count") * self._page_size > _LARGE_FILE
            return self._done >= self.last > 0 and (large or self.rows > 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file. Nothing is lost where that is not done."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _make(path: Path) -> None:
    """Make the file, readable by nobody else, if it is not there; SQLite gives its log the same mode."""
    try:
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(error.strerror or str(error)) from error


def _sum(number: int, born: float, items: int, body: bytes) -> int:
    return crc32(body, crc32(pack("<qdq", number, born, items)))


def _row(number: int, born: object, items: int, checksum: object, body: object) -> Row:
    if not (isinstance(born, float) and isinstance(body, bytes)):
        return Row(number, 0.0, items, None)
    return Row(number, born, items, body if checksum == _sum(number, born, items, body) else None)


@contextmanager
def _translated(reading: bool = False) -> Iterator[None]:
    """Say what SQLite's errors mean here. A file that cannot be read (an I/O error) is a bad one."""
    try:
        yield
    except MemoryError as error:  # a length that cannot be
        raise BadStoreError("it has a batch that is larger than memory") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        bad = code in _BAD or (reading and code == sqlite3.SQLITE_IOERR)
        raise (BadStoreError if bad else StoreError)(str(error)) from error
