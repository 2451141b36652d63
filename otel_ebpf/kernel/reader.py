"""From the ring buffer's bytes to records.

Hot path. Budget: 1.0 us for an exchange, its heads copied out.
"""

from __future__ import annotations

from typing import Any

from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import (
    CLOSE,
    EXCHANGE,
    HEADER,
    PIECE,
    PROCESS,
    WIRE_VERSION,
    Close,
    Exchange,
    Kind,
    Piece,
    ProcessSeen,
    Record,
)
from otel_ebpf.kernel.ring_buffer import RingBuffer

_EXCHANGE_SIZE, _PIECE_SIZE, _PROCESS_SIZE = EXCHANGE.size, PIECE.size, PROCESS.size
_KIND_EXCHANGE = int(Kind.EXCHANGE)
_make = tuple.__new__
_unpack_exchange = EXCHANGE.unpack_from


def _exchange(chunk: bytes, at: int, end: int) -> Exchange | None:
    fields = _unpack_exchange(chunk, at)
    request = at + _EXCHANGE_SIZE
    response = request + fields[36]
    path = response + fields[37]
    stop = path + fields[38]
    if stop > end:
        return None
    return _make(Exchange, fields + (chunk[request:response], chunk[response:path], chunk[path:stop]))  # noqa: RUF005


def _piece(chunk: bytes, at: int, end: int) -> Piece | None:
    fields = PIECE.unpack_from(chunk, at)
    data = at + _PIECE_SIZE
    path = data + fields[30]
    stop = path + fields[32]
    if stop > end:
        return None
    return _make(Piece, (*fields, chunk[data:path], chunk[path:stop]))


def _process(chunk: bytes, at: int, end: int) -> ProcessSeen | None:
    fields = PROCESS.unpack_from(chunk, at)
    arguments = at + _PROCESS_SIZE
    environment = arguments + fields[31]
    stop = environment + fields[32]
    if stop > end:
        return None
    return ProcessSeen(
        *_identity(fields),
        parent=fields[29],
        user=fields[30],
        command=fields[33].split(b"\0", 1)[0],
        executable=fields[34].split(b"\0", 1)[0],
        arguments=chunk[arguments:environment],
        environment=chunk[environment:stop],
    )


def _process_exit(chunk: bytes, at: int) -> ProcessSeen:
    return ProcessSeen(*_identity(HEADER.unpack_from(chunk, at)), 0, 0, b"", b"", b"", b"")


def _identity(fields: tuple[Any, ...]) -> tuple[int, int, int, int, int, int]:
    """Pick kind, pids, network namespace, start and cgroup out of a header's fields."""
    return (fields[1], fields[13], fields[14], fields[16], fields[17], fields[18])


def _notice(kind: int, size: int, chunk: bytes, at: int) -> Record | None:
    """Decode the rarer kinds."""
    if kind == Kind.AMEND and size >= _EXCHANGE_SIZE:
        return _exchange(chunk, at, at + size)
    if kind == Kind.CLOSE and size >= CLOSE.size:
        return Close._make(CLOSE.unpack_from(chunk, at))
    if kind == Kind.PROCESS and size >= _PROCESS_SIZE:
        return _process(chunk, at, at + size)
    if kind == Kind.PROCESS_EXIT:
        return _process_exit(chunk, at)
    return None


class Reader:
    """Reads batches of records and keeps the reader's column of the ledger."""

    def __init__(self, ring: RingBuffer, shard: Shard) -> None:
        self._ring = ring
        self._counts = shard.counts

    def read(self, limit: int = 1 << 20) -> list[Record]:
        """Return what is there, oldest first; malformed records are counted, not returned."""
        chunk, spans = self._ring.read(limit)
        records: list[Record] = []
        append = records.append
        exchanges = 0
        for at, end in spans:
            if chunk[at + 2] == _KIND_EXCHANGE and chunk[at] == WIRE_VERSION and end - at >= _EXCHANGE_SIZE:
                record: Record | None = _exchange(chunk, at, end)
                exchanges += record is not None
            else:
                record = self._decode(chunk, at, end)
            if record is None:
                self._counts[Entry.READER_MALFORMED] += 1
            else:
                append(record)
        self._counts[Entry.READER_EXCHANGE] += exchanges
        return records

    def _decode(self, chunk: bytes, at: int, end: int) -> Record | None:
        size, counts = end - at, self._counts
        if size < HEADER.size or chunk[at] != WIRE_VERSION:
            return None
        kind = chunk[at + 2]
        if kind == Kind.PIECE and size >= _PIECE_SIZE:
            piece = _piece(chunk, at, end)
            counts[Entry.READER_PIECE] += piece is not None
            return piece
        notice = _notice(kind, size, chunk, at)
        counts[Entry.READER_NOTICE] += notice is not None
        return notice
