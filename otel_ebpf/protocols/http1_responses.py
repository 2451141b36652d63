"""The response direction of an HTTP/1 connection in stream mode, paired with the requests."""

from __future__ import annotations

from otel_ebpf.kernel.records import End, Piece, Role
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.http1_claim import judge_response
from otel_ebpf.protocols.http1_fields import CHUNKED
from otel_ebpf.protocols.http1_head import head_end, is_interim, status_at
from otel_ebpf.protocols.http1_pair import Response, make_call
from otel_ebpf.protocols.http1_requests import Requests
from otel_ebpf.protocols.http1_side import HEAD_MAX, Side, State

_CLIENT = int(Role.CLIENT)


class Responses:
    """Reads response pieces. `current` is the final response in progress, `last` the last piece's time.

    `hidden` says that whole responses may have passed unseen since the last one that was read.
    """

    __slots__ = (
        "_begun", "_forgiven", "_ids", "_requests", "calls", "current", "finished", "hidden", "last",
        "side", "unparsed",
    )  # fmt: skip

    def __init__(self, ids: TraceIds, requests: Requests) -> None:
        self.side = Side()
        self.current: Response | None = None
        self.calls: list[Call] = []  # complete, not handed on yet
        self.unparsed = 0
        self.hidden = False
        self.finished = False
        self.last = 0
        self._ids = ids
        self._requests = requests
        self._forgiven = 0  # responses to requests that were counted when they were given up
        self._begun = 0  # time of the first byte of the head in the buffer

    def arrive(self, piece: Piece) -> int:
        """Find the piece's place in the stream; return the position to read at, its length for none."""
        side = self.side
        missing_before = piece.lost and side.next < 0
        position, missed = side.admit(piece.offset, piece.length)
        if position >= piece.length:
            return position
        if missed and side.pass_over(missed):
            self._end_if_done()
        elif missed or missing_before:
            self._cut_off(End.TURN)
            if piece.lost > 1:  # an answer and the next request, perhaps: whose is this one?
                self._give_up()
            self.hidden = self._requests.lossy = True
        return position if side.state is not State.LOST or self._resume(piece, position) else piece.length

    def read(self, piece: Piece, position: int, forced: bool) -> int:
        """Take the piece from `position` on, up to a response whose request is not there yet.

        Returns the position reached. `forced`: such a response has no request, and is counted.
        """
        side, data, length = self.side, piece.data[: piece.length], piece.length
        self.last = piece.time
        while position < length and side.state is not State.LOST and not self.finished:
            if side.state is State.HEAD:
                if side.between and position < len(data) and not (forced or self._requests.answerable):
                    return position
                position = self._read_head(piece, data, position)
            else:
                position = side.read_body(data, position, length)
            if self.current is not None:
                self.current.end = piece.time
            self._end_if_done()
        return length

    def turn(self, time: int) -> None:
        """A request begins at `time`: what was unclear before it is decided as an answer's end."""
        if time <= self.last:
            return
        side = self.side
        if side.state is State.LOST and self.current is not None:
            self._complete(End.TURN)
        if self.hidden:
            self._give_up()
            self.hidden = False
        elif not self._requests.waiting and self.current is None:
            self._forgiven = 0

    def miss(self) -> None:
        """Records were lost, and none of requests: answers to what waits may be among them."""
        if self.side.between and self.current is None and self._requests.waiting:
            self._give_up()
            self._requests.lossy = True

    def silence(self) -> None:
        """Nothing more came for a response whose end was not seen."""
        if self.current is not None and self.side.state is State.LOST:
            self._complete(End.IDLE)

    def close(self, how: int, error: int) -> None:
        """The connection has ended: complete or give up everything."""
        side, waiting = self.side, self._requests.waiting
        if side.state is State.HEAD and side.buffer:
            self._truncated()
        if self.current is not None:
            if side.state is State.UNTIL_CLOSE and how == End.FIN:
                self.current.body = side.body
            self._complete(how, error)
        unclear = side.state is State.LOST and waiting and waiting[0].start < self.last
        if self.hidden or unclear:
            self._give_up()
        while waiting:
            self.calls.append(make_call(self._ids, waiting.popleft(), None, how, error))

    def _answers_unseen(self, time: int) -> bool:
        """Say whether a response begun at `time` belongs to no request that is known."""
        waiting = self._requests.waiting
        return not waiting or (self._requests.lossy and waiting[0].start > time)

    def _resume(self, piece: Piece, position: int) -> bool:
        """Find a message's beginning, or a chunk's, at the start of a piece."""
        side, data = self.side, piece.data[position : piece.length]
        self.last = piece.time
        if judge_response(data) is Claim.YES and data:
            if self.current is not None:
                self._complete(End.TURN)
            if self.hidden and len(self._requests.waiting) > 1:
                self._give_up()
            self.hidden = False
            side.state = State.HEAD
            return True
        if self.current is None:
            return False
        self.current.end = piece.time
        if self.current.declared == CHUNKED and side.resume_chunks(data, piece.length - position):
            self._end_if_done()
        return False

    def _read_head(self, piece: Piece, data: bytes, position: int) -> int:
        side = self.side
        if position >= len(data):
            self._hide()
            return piece.length
        if not side.buffer:
            self._begun = piece.time
        start = len(side.buffer)
        side.buffer += data[position:]
        end = head_end(side.buffer)
        if 0 <= end <= HEAD_MAX:
            head, side.buffer = side.buffer[:end], b""
            self._take(head)
            return position + end - start
        if judge_response(side.buffer) is Claim.NO:
            self._unreadable()
        elif len(data) < piece.length or len(side.buffer) > HEAD_MAX:
            self._truncated()
            self.hidden = self.hidden or piece.vantage.role == _CLIENT
        return piece.length

    def _take(self, head: bytes) -> None:
        status = status_at(head, 0)
        if not status:
            self._unreadable()
            return
        if is_interim(status):
            return
        response = self._begin(status, head)
        if response.upgrade:
            self._complete(End.UPGRADE)
            self._requests.drop()
            self.finished = True
            return
        self.side.start_body(response.declared)
        self._end_if_done()

    def _begin(self, status: int, head: bytes) -> Response:
        unseen = self._answers_unseen(self._begun)
        request = None if unseen else self._requests.waiting.popleft()
        self.current = Response(request, status, self._begun, head)
        self.current.end = self.last
        self.side.fresh = False
        return self.current

    def _truncated(self) -> None:
        """The head in the buffer is cut off: take its status; its end is not known."""
        head = self.side.buffer
        status = status_at(head, 0)
        if not status:
            self._unreadable()
            return
        self.side.lose()
        if not is_interim(status):
            self._begin(status, head)

    def _cut_off(self, how: int) -> None:
        if self.side.state is State.HEAD and self.side.buffer:
            self._truncated()
        if self.current is not None:
            self._complete(how)
        self.side.lose()

    def _unreadable(self) -> None:
        """Give up one message, and the request that it answers."""
        if self.side.fresh:
            self.side.lose()
            return
        if not self._answers_unseen(self._begun):
            self._requests.waiting.popleft()
        self.unparsed += 1
        self.side.lose()

    def _hide(self) -> None:
        """One response at least begins behind the captured bytes."""
        self._give_up()
        self.hidden = self._requests.lossy = True
        self.side.lose()

    def _give_up(self) -> None:
        self._forgiven += self._requests.drop()

    def _end_if_done(self) -> None:
        if self.side.state is State.DONE:
            response = self.current
            chunked = response is not None and response.declared == CHUNKED
            if response is not None:
                response.body = self.side.body
            self._complete(End.CHUNK if chunked else End.LENGTH)

    def _complete(self, how: int, error: int = 0) -> None:
        response, self.current = self.current, None
        if self.side.state is State.DONE:
            self.side.state = State.HEAD
        if response is None:
            return
        if response.request is not None:
            self.calls.append(make_call(self._ids, response.request, response, how, error))
        elif self._forgiven:
            self._forgiven -= 1
        else:
            self.unparsed += 1
