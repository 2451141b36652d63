"""The request direction of an HTTP/1 connection in stream mode: heads, in order."""

from __future__ import annotations

from collections import deque

from otel_ebpf.kernel.records import Capture, Piece
from otel_ebpf.kernel.wire import WRITTEN_BYTES
from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.http1_claim import judge_request
from otel_ebpf.protocols.http1_fields import CHUNKED, NO_LENGTH
from otel_ebpf.protocols.http1_head import KNOWN_METHODS, head_end
from otel_ebpf.protocols.http1_pair import Request
from otel_ebpf.protocols.http1_request import Asked, Heads
from otel_ebpf.protocols.http1_side import HEAD_MAX, Side, State

WAITING_MAX = 1024
_NEW_LINES = b"\r\n"
_WRITTEN = int(Capture.WRITTEN)


class Requests:
    """Reads request pieces; `waiting` are the requests without a final response, oldest first."""

    __slots__ = ("_first", "_heads", "_last", "_shifted", "lossy", "side", "unparsed", "waiting")

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self.side = Side()
        self.waiting: deque[Request] = deque()
        self.unparsed = 0
        self.lossy = False  # requests may have passed unseen
        self._first: tuple[Piece, int] | None = None  # where the head in the buffer began
        self._shifted = False  # positions, by what the agent has written
        self._last: Request | None = None  # whose body is being passed over

    @property
    def answerable(self) -> bool:
        """True when the oldest waiting request is all there, or may be answered before.

        An answer to a body that is still coming has overtaken its end, or is an early one.
        """
        return bool(self.waiting) and (self.waiting[0] is not self._last or self.waiting[0].fields.expects)

    def arrive(self, piece: Piece) -> int:
        """Find the piece's place in the stream; return the position to read at, its length for none."""
        if piece.lost and self.side.next < 0:
            self.lossy = True
        position, missed = self.side.admit(piece.offset, piece.length)
        if position >= piece.length:
            return position
        if missed == WRITTEN_BYTES and piece.flags & _WRITTEN and not self._shifted:
            self._shifted, missed = True, 0  # no call's: they stand in the request before
        if missed and not self.side.pass_over(missed):
            self._lose(broken=self.side.state is State.HEAD and bool(self.side.buffer))
            self.lossy = True
        data = piece.data
        if self.side.state is State.SIZED and self._skips_body(data, position):
            self.side.state = State.HEAD
        if self.side.state is State.LOST:
            if judge_request(data[position:]) not in (Claim.YES, Claim.LIKELY):
                return piece.length
            self.side.state = State.HEAD
        return position

    def read(self, piece: Piece, position: int) -> None:
        """Take the piece from `position` on."""
        side, data, length = self.side, piece.data[: piece.length], piece.length
        while position < length and side.state is not State.LOST:
            if side.state is State.HEAD:
                position = self._read_head(piece, data, position)
            elif side.state is not State.DONE:
                position = side.read_body(data, position, length)
            self._end_body(piece.time)

    def flush(self) -> None:
        """The connection has ended: a head that is not complete is taken for what it says."""
        head, self.side.buffer = self.side.buffer, b""
        if not head or self.side.state is not State.HEAD or self._first is None:
            return
        asked = self._asked(head)
        if asked is None or not asked.version:
            self.unparsed += 1
        else:
            self._add(head, whole=False)

    def drop(self) -> int:
        """Give up all waiting requests; return how many."""
        number = len(self.waiting)
        self.waiting.clear()
        self.unparsed += number
        return number

    def _skips_body(self, data: bytes, position: int) -> bool:
        """A client that was refused after `Expect: 100-continue` sends its next request, no body."""
        last = self._last
        if last is None or not last.fields.expects or self.side.body or last in self.waiting:
            return False
        return judge_request(data[position:]) is Claim.YES

    def _end_body(self, time: int) -> None:
        if self._last is not None:
            self._last.end = time
        if self.side.state is State.DONE:
            if self._last is not None:
                self._last.body = self.side.body
            self.side.state = State.HEAD
            self._last = None
        elif self.side.state is State.LOST:
            self._last = None

    def _read_head(self, piece: Piece, data: bytes, position: int) -> int:
        side = self.side
        if position >= len(data):
            self._lose(bool(side.buffer))
            self.lossy = True
            return piece.length
        if not side.buffer:
            rest = data[position:].lstrip(_NEW_LINES)
            position = len(data) - len(rest)
            if not rest:
                return position
            self._first = piece, piece.offset + position
        start = len(side.buffer)
        side.buffer += data[position:]
        end = head_end(side.buffer)
        if 0 <= end <= HEAD_MAX:
            head, side.buffer = side.buffer[:end], b""
            self._add(head, whole=True)
            return position + end - start
        if self._unlikely(side.buffer):
            self._lose(broken=not side.fresh)
        elif len(data) < piece.length or len(side.buffer) > HEAD_MAX:
            head, side.buffer = side.buffer, b""
            self._add(head, whole=False)
            self.lossy = True
        return piece.length

    def _add(self, head: bytes, *, whole: bool) -> None:
        asked = self._asked(head)
        if asked is None or self._first is None:
            self._lose(broken=not self.side.fresh)
            return
        self.side.fresh = False
        if len(self.waiting) >= WAITING_MAX:
            self.drop()
            self.lossy = True
        line_end = head.find(b"\n")
        fields = self._heads.fields(head[line_end + 1 :] if line_end >= 0 else b"")
        request = Request(*self._first, asked, fields, whole)
        self.waiting.append(request)
        self._last = request
        if whole and (request.declared == CHUNKED or request.declared >= NO_LENGTH):
            self.side.start_body(max(request.declared, 0) if request.declared != CHUNKED else CHUNKED)
        else:
            self.side.lose()

    def _unlikely(self, head: bytes) -> bool:
        """Say whether this is no head; the first bytes of all may stem from the middle of a message."""
        claim = judge_request(head)
        if claim is not Claim.MAYBE or not self.side.fresh:
            return claim is Claim.NO
        name, space, _ = head.partition(b" ")
        return bool(space) and name not in KNOWN_METHODS

    def _asked(self, head: bytes) -> Asked | None:
        line_end = head.find(b"\n")
        return self._heads.asked(head[: line_end + 1] if line_end >= 0 else head)

    def _lose(self, broken: bool) -> None:
        self.unparsed += broken
        self._last = None
        self.side.lose()
