"""From the ring buffer's bytes to records.

Hot path. Budget: 1.3 us for an exchange, its heads copied out.
"""

from __future__ import annotations

from typing import Final

from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.likeness import Again, Likenesses
from otel_ebpf.kernel.records import (
    CLOSE,
    DATAGRAM,
    EXCHANGE,
    HEADER,
    LOOKUP,
    PIECE,
    PROCESS,
    WIRE_VERSION,
    Close,
    Datagram,
    Exchange,
    Kind,
    Lookup,
    Piece,
    ProcessSeen,
    Record,
)
from otel_ebpf.kernel.ring_buffer import RingBuffer
from otel_ebpf.kernel.vantage import START, STOP, VANTAGE, Vantage, Vantages

BATCH_BYTES: Final = 1 << 18
"""What is read at once: little enough to stay in the processor's cache until it is encoded."""

_EXCHANGE_SIZE, _PIECE_SIZE, _PROCESS_SIZE = EXCHANGE.size, PIECE.size, PROCESS.size
_EXCHANGE = int(Kind.EXCHANGE)
_KIND = 20  # where it stands in a record
_HEADER_FIELDS = len(HEADER.unpack(bytes(HEADER.size)))
_CGROUP_NAME = 96  # CGROUP_NAME_MAX of wire.h
_TIME, _SOCKET, _CONTEXT = (Close._fields.index(name) for name in ("time", "socket", "trace_id"))
_make = tuple.__new__
_unpack_exchange = EXCHANGE.unpack_from


class Reader:
    """Reads batches of records and keeps the reader's column of the ledger."""

    def __init__(self, ring: RingBuffer, shard: Shard, likenesses: Likenesses) -> None:
        self._ring = ring
        self._sort = likenesses.sort
        self._counts = shard.counts
        self._vantages = Vantages()
        self._known = self._vantages.known

    def read(self, limit: int = BATCH_BYTES) -> tuple[list[Record], list[Again]]:
        """Return what is there: exchanges whose like is known apart, and all others, oldest first.

        Malformed records are counted, not returned.
        """
        chunk, spans = self._ring.read(limit)
        alike, others = self._sort(chunk, spans)
        records: list[Record] = []
        counts = self._counts
        for at, end, likeness in others:
            record = self._decode(chunk, at, end, likeness)
            if record is None:
                counts[Entry.READER_MALFORMED] += 1
            else:
                records.append(record)
        counts[Entry.READER_EXCHANGE] += len(alike)
        return records, alike

    def _exchange(self, chunk: bytes, at: int, end: int, likeness: int) -> Exchange | None:
        fields = _unpack_exchange(chunk, at)
        request = at + _EXCHANGE_SIZE
        response = request + fields[30]
        path = response + fields[31]
        stop = path + fields[32]
        if stop > end:
            return None
        data = chunk[at + START : at + STOP]
        vantage = self._known.get(data) or self._vantages.read(data)
        return _make(
            Exchange,
            fields + (chunk[request:response], chunk[response:path], chunk[path:stop], vantage, likeness),  # noqa: RUF005
        )

    def _decode(self, chunk: bytes, at: int, end: int, likeness: int) -> Record | None:
        size, counts = end - at, self._counts
        if size < HEADER.size or chunk[at] != WIRE_VERSION:
            return None
        kind = chunk[at + _KIND]
        if kind == _EXCHANGE and size >= _EXCHANGE_SIZE:
            exchange = self._exchange(chunk, at, end, likeness)
            counts[Entry.READER_EXCHANGE] += exchange is not None
            return exchange
        if kind == Kind.PIECE and size >= _PIECE_SIZE:
            piece = self._piece(chunk, at, end)
            counts[Entry.READER_PIECE] += piece is not None
            return piece
        if kind == Kind.LOOKUP and size >= LOOKUP.size:
            counts[Entry.READER_LOOKUP] += 1
            return _lookup(chunk, at, self._vantage(chunk, at))
        if kind == Kind.DATAGRAM and size >= DATAGRAM.size:
            counts[Entry.READER_DATAGRAM] += 1
            return _datagram(chunk, at, self._vantage(chunk, at))
        notice = self._notice(kind, chunk, at, end)
        counts[Entry.READER_NOTICE] += notice is not None
        return notice

    def _piece(self, chunk: bytes, at: int, end: int) -> Piece | None:
        fields = PIECE.unpack_from(chunk, at)
        data = at + _PIECE_SIZE
        path = data + fields[18]
        stop = path + fields[20]
        if stop > end:
            return None
        return _make(Piece, (*fields, chunk[data:path], chunk[path:stop], self._vantage(chunk, at)))

    def _notice(self, kind: int, chunk: bytes, at: int, end: int) -> Record | None:
        """Decode the rarer kinds."""
        size = end - at
        if kind in {Kind.AMEND, Kind.HANDSHAKE} and size >= _EXCHANGE_SIZE:
            return self._exchange(chunk, at, end, 0)
        if kind == Kind.CLOSE and size >= CLOSE.size:
            return Close._make((*CLOSE.unpack_from(chunk, at), self._vantage(chunk, at)))
        if kind == Kind.PROCESS and size >= _PROCESS_SIZE:
            return _process(chunk, at, end)
        if kind in {Kind.PROCESS_EXIT, Kind.EXEC}:
            return ProcessSeen(*_identity(chunk, at), 0, 0, b"", b"", b"", b"")
        return None

    def _vantage(self, chunk: bytes, at: int) -> Vantage:
        return self._vantages.read(chunk[at + START : at + STOP])


def _lookup(chunk: bytes, at: int, vantage: Vantage) -> Lookup:
    fields = LOOKUP.unpack_from(chunk, at)
    end, result, call, count, families, addresses, name = fields[_HEADER_FIELDS:]
    found = tuple((families[i], addresses[16 * i : 16 * i + 16]) for i in range(min(count, len(families))))
    return Lookup(
        time=fields[_TIME],
        end=end,
        result=result,
        call=call,
        name=name.split(b"\0", 1)[0],
        addresses=found,
        seconds=0,
        retries=0,
        truncations=0,
        trace_id=fields[_CONTEXT],
        span_id=fields[_CONTEXT + 1],
        parent_id=fields[_CONTEXT + 2],
        trace_flags=fields[_CONTEXT + 3],
        context_source=fields[_CONTEXT + 4],
        vantage=vantage,
    )


def _datagram(chunk: bytes, at: int, vantage: Vantage) -> Datagram:
    fields = DATAGRAM.unpack_from(chunk, at)
    length, captured, direction, data = fields[_HEADER_FIELDS:]
    return Datagram(
        fields[_TIME],
        fields[_SOCKET],
        direction,
        length,
        data[:captured],
        trace_id=fields[_CONTEXT],
        span_id=fields[_CONTEXT + 1],
        parent_id=fields[_CONTEXT + 2],
        trace_flags=fields[_CONTEXT + 3],
        context_source=fields[_CONTEXT + 4],
        vantage=vantage,
    )


def _process(chunk: bytes, at: int, end: int) -> ProcessSeen | None:
    fields = PROCESS.unpack_from(chunk, at)[_HEADER_FIELDS:]
    parent, user, argument_bytes, environment_bytes, command, executable, unified, controlled = fields
    arguments = at + _PROCESS_SIZE
    environment = arguments + argument_bytes
    stop = environment + environment_bytes
    if stop > end:
        return None
    return ProcessSeen(
        *_identity(chunk, at),
        parent=parent,
        user=user,
        command=command.split(b"\0", 1)[0],
        executable=executable.split(b"\0", 1)[0],
        arguments=chunk[arguments:environment],
        environment=chunk[environment:stop],
        unified=_names(unified),
        controlled=_names(controlled),
    )


def _names(raw: bytes) -> tuple[bytes, ...]:
    """Split a char[CGROUP_NAMES][CGROUP_NAME_MAX]; levels that are not there are empty."""
    names = (raw[at : at + _CGROUP_NAME].partition(b"\0")[0] for at in range(0, len(raw), _CGROUP_NAME))
    return tuple(name for name in names if name)


def _identity(chunk: bytes, at: int) -> tuple[int, int, int, int, int, int]:
    """Pick kind, pids, network namespace, start and cgroup out of a header. Not worth keeping."""
    one = Vantage(*VANTAGE.unpack_from(chunk, at + START))
    return (
        chunk[at + _KIND],
        one.process,
        one.agent_process,
        one.network_namespace,
        one.process_start,
        one.cgroup,
    )
