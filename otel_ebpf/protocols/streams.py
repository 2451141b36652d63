"""Connections in stream mode: each one's state, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from otel_ebpf.kernel.ledger import Shard
from otel_ebpf.kernel.ledger_entries import Entry
from otel_ebpf.kernel.records import Close, Exchange, Piece
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import ConnectionControl, Protocol, Stream
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.claims import Claims, connection_key
from otel_ebpf.protocols.opening import Opening

_CALL = int(Entry.PROTOCOL_STREAM_CALL)
_UNKNOWN = int(Entry.PROTOCOL_STREAM_UNKNOWN)
_UNSUPPORTED = int(Entry.PROTOCOL_STREAM_UNSUPPORTED)
_UNPARSED = int(Entry.PROTOCOL_STREAM_UNPARSED)
_EVICTED = int(Entry.PROTOCOL_STREAM_EVICTED)
_HELD_MAX = 64 << 20  # bytes over all connections, about


class Ignored:
    """A connection that nothing is wanted of any more; `entry` counts its pieces in flight.

    Of a protocol that is recognised and not read, `heard` more pieces are listened to before.
    """

    __slots__ = ("entry", "heard")
    held = 0

    def __init__(self, entry: int, heard: int = 0) -> None:
        self.entry = entry
        self.heard = heard


_HEARD = 8  # pieces of both directions: whose HTTP/2 it is stands in the first request
_IGNORED_UNKNOWN = Ignored(_UNKNOWN)


class Streams:
    """State by connection key, the longest silent first. Over the bounds, that is what goes."""

    def __init__(
        self,
        shard: Shard,
        ids: TraceIds,
        control: ConnectionControl,
        unsupported: Callable[[Exchange | Piece, str], None],
        overheard: Callable[[Exchange | Piece], None],
        *,
        claims: Claims,
        maximum: int,
        protocols: Sequence[Protocol],
    ) -> None:
        self._counts = shard.counts
        self._ids = ids
        self._control = control
        self._unsupported = unsupported
        self._overheard = overheard
        self._claims = claims
        self._maximum = maximum
        self._protocols = tuple(protocols)
        self._states: OrderedDict[int, Stream | Opening | Ignored] = OrderedDict()
        self._undecided: dict[int, Stream] = {}
        self._held = 0

    def piece(self, record: Piece) -> Sequence[Call]:
        """Take one piece."""
        key = connection_key(record)
        state = self._states.get(key)
        if state is None:
            state = self._open(key, record)
        else:
            self._states.move_to_end(key)
        if isinstance(state, Ignored):
            self._counts[state.entry] += 1
            if state.heard:
                self._listen(state, record)
            return ()
        held = state.held
        calls = (
            self._open_with(key, state, record)
            if isinstance(state, Opening)
            else self._feed(key, state, record)
        )
        current = self._states.get(key)
        self._held += (current.held if current is not None else 0) - held
        if self._held > _HELD_MAX or len(self._states) > self._maximum:
            self._evict()
        return calls

    def close(self, record: Close) -> Sequence[Call]:
        """Hand over what is open on a connection that has ended."""
        key = connection_key(record)
        state = self._states.pop(key, None)
        self._undecided.pop(key, None)
        if state is None or isinstance(state, Ignored):
            return ()
        self._held -= state.held
        if not isinstance(state, Opening):
            return self._close(state, record)
        if state.likely is None or not state.likely.supported:
            entry = _UNKNOWN if state.likely is None else _UNSUPPORTED
            self._counts[entry] += len(state.pieces)
            if state.likely is not None:
                self._unsupported(state.pieces[0], state.likely.name)
            return ()
        stream = state.likely.stream(self._ids)
        calls = [call for piece in state.pieces for call in self._read(stream, piece)]
        return [*calls, *self._close(stream, record)]

    def expire(self, now: int) -> Sequence[Call]:
        """Let the undecided decide."""
        if not self._undecided:
            return ()
        calls: list[Call] = []
        for key, stream in list(self._undecided.items()):
            held, unparsed = stream.held, stream.unparsed
            calls += self._count(stream, unparsed, stream.expire(now))
            self._held += stream.held - held
            self._note(key, stream)
        return calls

    def _listen(self, state: Ignored, record: Piece) -> None:
        self._overheard(record)
        state.heard -= 1
        if not state.heard:
            self._control.ignore(record.socket, record.connection)

    def _open(self, key: int, record: Piece) -> Stream | Opening | Ignored:
        protocol = self._claims.of(record)
        state: Stream | Opening | Ignored
        if protocol is None:
            state = Opening(self._protocols)
        else:
            state = protocol.stream(self._ids) if protocol.supported else Ignored(_UNSUPPORTED, _HEARD)
        self._states[key] = state
        return state

    def _open_with(self, key: int, opening: Opening, record: Piece) -> Sequence[Call]:
        protocol = opening.take(record)
        if protocol is None:
            if opening.hopeless:
                self._ignore(key, record, len(opening.pieces), _IGNORED_UNKNOWN)
            return ()
        self._claims.hold(key, protocol)
        if not protocol.supported:
            self._unsupported(record, protocol.name)
            self._counts[_UNSUPPORTED] += len(opening.pieces)
            for piece in opening.pieces:
                self._overheard(piece)
            self._states[key] = Ignored(_UNSUPPORTED, _HEARD)
            return ()
        stream = protocol.stream(self._ids)
        self._states[key] = stream
        calls = [call for piece in opening.pieces for call in self._read(stream, piece)]
        self._settle(key, stream, record)
        return calls

    def _feed(self, key: int, stream: Stream, record: Piece) -> Sequence[Call]:
        calls = self._read(stream, record)
        self._settle(key, stream, record)
        return calls

    def _settle(self, key: int, stream: Stream, record: Piece) -> None:
        if stream.finished:
            self._ignore(key, record, 0, _IGNORED_UNKNOWN)
        else:
            self._note(key, stream)

    def _ignore(self, key: int, record: Piece, pieces: int, state: Ignored) -> None:
        self._counts[state.entry] += pieces
        self._states[key] = state
        self._undecided.pop(key, None)
        self._control.ignore(record.socket, record.connection)

    def _note(self, key: int, stream: Stream) -> None:
        if stream.undecided:
            self._undecided[key] = stream
        else:
            self._undecided.pop(key, None)

    def _read(self, stream: Stream, record: Piece) -> Sequence[Call]:
        return self._count(stream, stream.unparsed, stream.feed(record))

    def _close(self, stream: Stream, record: Close) -> Sequence[Call]:
        return self._count(stream, stream.unparsed, stream.close(record.end, record.error))

    def _count(self, stream: Stream, unparsed: int, calls: Sequence[Call]) -> Sequence[Call]:
        """`unparsed` is the stream's before it made `calls`."""
        self._counts[_CALL] += len(calls)
        self._counts[_UNPARSED] += stream.unparsed - unparsed
        return calls

    def _evict(self) -> None:
        while len(self._states) > 1 and (self._held > _HELD_MAX or len(self._states) > self._maximum):
            key, state = self._states.popitem(last=False)
            self._undecided.pop(key, None)
            self._held -= state.held
            if isinstance(state, Opening):
                self._counts[_UNKNOWN] += len(state.pieces)
            elif not isinstance(state, Ignored):
                self._counts[_EVICTED] += state.open
