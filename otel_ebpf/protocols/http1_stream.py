"""HTTP/1 in stream mode: responses are paired with requests by their order.

The two directions arrive in order each, but a response may overtake its request by a few records
(two CPUs): it is held until the request is there. Where records were lost, or messages passed
behind the captured bytes, pairing goes on only as far as it is sure; what is not is counted.
After such a loss a response older than the oldest waiting request answers one that was not seen.
A client that keeps a window of requests open over such a loss, instead of waiting for its
answers from time to time, can be paired one off; HTTP/1 clients that pipeline send batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from otel_ebpf.kernel.records import Direction, Piece
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.http1_fields import CHUNKED
from otel_ebpf.protocols.http1_request import Heads
from otel_ebpf.protocols.http1_requests import Requests
from otel_ebpf.protocols.http1_responses import Responses
from otel_ebpf.protocols.http1_side import State

_HELD_MAX = 32  # response pieces ahead of their request
_REQUEST = int(Direction.REQUEST)
_MESSAGE_COST = 2048  # bytes of memory, about: a record, its data, the parsed head
_SILENCE = 250_000_000  # ns; as long as the kernel waits for an exchange
_CHUNK_SILENCE = 5_000_000_000  # ns; a chunked body announces that more is due
_OVERTAKEN = 1_000_000_000  # ns; how long a response waits for its request
_NOT_ARRIVED = -1


class Http1Stream:
    """One connection; see `base.Stream`."""

    __slots__ = ("_held", "_position", "_requests", "_responses")

    def __init__(self, ids: TraceIds, heads: Heads) -> None:
        self._requests = Requests(heads)
        self._responses = Responses(ids, self._requests)
        self._held: deque[Piece] = deque()
        self._position = _NOT_ARRIVED  # how far the first held piece was read

    @property
    def unparsed(self) -> int:
        """Messages given up so far."""
        return self._requests.unparsed + self._responses.unparsed

    @property
    def open(self) -> int:
        """Requests that wait for their response or for its end."""
        current = self._responses.current
        return len(self._requests.waiting) + (current is not None and current.request is not None)

    @property
    def held(self) -> int:
        """Bytes of memory kept, about."""
        messages = len(self._requests.waiting) + len(self._held)
        buffers = len(self._requests.side.buffer) + len(self._responses.side.buffer)
        return _MESSAGE_COST * messages + buffers

    @property
    def undecided(self) -> bool:
        """True while a response's end was not seen, or its request."""
        responses = self._responses
        return bool(self._held) or (responses.current is not None and responses.side.state is State.LOST)

    @property
    def finished(self) -> bool:
        """True after an upgrade or CONNECT."""
        return self._responses.finished

    def feed(self, piece: Piece) -> Sequence[Call]:
        """Take one piece of either direction."""
        if self.finished:
            return ()
        if piece.direction == _REQUEST:
            self._ask(piece)
        else:
            self._held.append(piece)
        self._answer(forced=False)
        return self._completed()

    def expire(self, now: int) -> Sequence[Call]:
        """Complete by silence what has no known end."""
        if self._held and now - self._held[0].time > _OVERTAKEN:
            self._answer(forced=True)
        current = self._responses.current
        if current is not None:
            patience = _CHUNK_SILENCE if current.declared == CHUNKED else _SILENCE
            if now - current.end > patience:
                self._responses.silence()
        return self._completed()

    def close(self, how: int, error: int) -> Sequence[Call]:
        """Hand over what is open; a request without a response has status 0."""
        if self.finished:
            return ()
        self._requests.flush()
        self._answer(forced=True)
        self._responses.close(how, error)
        return self._completed()

    def _ask(self, piece: Piece) -> None:
        requests = self._requests
        answer_lost = piece.lost and piece.offset <= requests.side.next
        position = requests.arrive(piece)
        if position >= piece.length:
            return
        if requests.side.between and not self._held:
            if answer_lost:
                self._responses.miss()
            self._responses.turn(piece.time)
        requests.read(piece, position)

    def _answer(self, *, forced: bool) -> None:
        """Read the held pieces, up to a response without a request; `forced`: past it too."""
        held, responses = self._held, self._responses
        while held and not responses.finished:
            piece = held[0]
            if self._position == _NOT_ARRIVED:
                self._position = responses.arrive(piece)
            if self._position < piece.length:
                self._position = responses.read(piece, self._position, forced or len(held) > _HELD_MAX)
                if self._position < piece.length:
                    return
            held.popleft()
            self._position = _NOT_ARRIVED

    def _completed(self) -> Sequence[Call]:
        calls = self._responses.calls
        if not calls:
            return ()
        self._responses.calls = []
        return calls
