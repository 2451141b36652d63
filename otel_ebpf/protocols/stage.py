"""The protocols stage: records in, calls out. Runs on the reader's thread.

Hot path. Budget: 0.4 us for an exchange beside its protocol's own.

Every exchange is counted exactly once: passed, unknown, unsupported or unparsed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from otel_ebpf.kernel.ledger import Shard
from otel_ebpf.kernel.ledger_entries import Entry
from otel_ebpf.kernel.records import Close, ContextSource, End, Exchange, Piece
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, ConnectionControl, Protocol
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.claims import Claims, connection_key
from otel_ebpf.protocols.registry import PROTOCOLS
from otel_ebpf.protocols.streams import Streams

_PASSED = int(Entry.PROTOCOL_PASSED)
_UNKNOWN = int(Entry.PROTOCOL_UNKNOWN)
_UNSUPPORTED = int(Entry.PROTOCOL_UNSUPPORTED)
_UNPARSED = int(Entry.PROTOCOL_UNPARSED)
_AMENDED = int(Entry.PROTOCOL_AMENDED)
_NO_CONTEXT = int(ContextSource.NONE)
_LAST = (int(End.FIN), int(End.RESET), int(End.UPGRADE))  # no exchange follows on the connection


def _nothing(*_: object) -> None:
    """Stand in for a callback that nobody asked for."""


class ProtocolStage:
    """Names each record's protocol, and reads it. Never raises, whatever the bytes.

    `unsupported` is called once for each connection of a protocol that is recognised and not read,
    `overheard` for the first records of such a connection.
    """

    def __init__(
        self,
        shard: Shard,
        ids: TraceIds,
        control: ConnectionControl,
        unsupported: Callable[[Exchange | Piece, str], None],
        overheard: Callable[[Exchange | Piece], None] = _nothing,
        *,
        max_connections: int = 65536,
        protocols: Sequence[Protocol] = PROTOCOLS,
    ) -> None:
        self._counts = shard.counts
        self._ids = ids
        self._control = control
        self._unsupported = unsupported
        self._overheard = overheard
        self._claims = Claims(protocols, max_connections)
        self._streams = Streams(
            shard,
            ids,
            control,
            unsupported,
            overheard,
            claims=self._claims,
            maximum=max_connections,
            protocols=protocols,
        )

    def exchange(self, record: Exchange) -> Call | None:
        """Read a whole exchange; None where it makes no call (and is counted)."""
        protocol = self._claims.followed if record.request_head and record.response_head else None
        if protocol is None:
            protocol = self._claims.of(record) or self._claim(record)
            if protocol is None:
                return None
        if record.end in _LAST:
            self._claims.release(connection_key(record))
        if not protocol.supported:
            self._counts[_UNSUPPORTED] += 1
            return None
        call = protocol.parse(record)
        if call is None:
            self._counts[_UNPARSED] += 1
            return None
        self._counts[_PASSED] += 1
        return call if record.context_source != _NO_CONTEXT else self._with_ids(call)

    def passed(self, number: int) -> None:
        """Count exchanges that were like earlier ones, and were not read again."""
        self._counts[_PASSED] += number

    def body_bound(self, record: Exchange) -> int:
        """See `Protocol.body_bound`; for an exchange that has just been read."""
        followed = self._claims.followed
        return followed.body_bound(record) if followed and record.likeness else -1

    def amend(self, record: Exchange) -> None:
        """Count an exchange that went on after silence had ended it: its call has left."""
        self._counts[_AMENDED] += 1

    def piece(self, record: Piece) -> Sequence[Call]:
        """Take one piece of a connection in stream mode; return the calls that it completed."""
        return self._streams.piece(record)

    def close(self, record: Close) -> Sequence[Call]:
        """A connection has ended; return the calls that were open."""
        calls = self._streams.close(record)
        self._claims.release(connection_key(record))
        return calls

    def expire(self, now: int) -> Sequence[Call]:
        """Decide by silence what only silence can tell; `now` in CLOCK_BOOTTIME nanoseconds.

        To be called a few times a second; costs nothing while nothing waits.
        """
        return self._streams.expire(now)

    def _claim(self, record: Exchange) -> Protocol | None:
        key = connection_key(record)
        claim, protocol = self._claims.look(record)
        if protocol is None or claim is Claim.NO or claim is Claim.MAYBE:
            self._counts[_UNKNOWN] += 1
            if self._claims.miss(key):
                self._control.ignore(record.socket, record.connection)
            return None
        if claim is Claim.YES or not protocol.supported:
            self._claims.hold(key, protocol)
        if not protocol.supported:
            self._unsupported(record, protocol.name)
            self._overheard(record)
            self._control.stream(record.socket, record.connection)  # where a few pieces are listened to
        elif protocol.interleaved:
            self._control.stream(record.socket, record.connection)
        return protocol

    def _with_ids(self, call: Call) -> Call:
        record = call.record
        trace_id, span_id = self._ids.of(record.connection, record.offset, record.vantage.role)
        if call.context_source == ContextSource.HEADER:
            return call._replace(span_id=span_id)
        return call._replace(trace_id=trace_id, span_id=span_id, context_source=int(ContextSource.ROOT))
