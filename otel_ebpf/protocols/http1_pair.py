"""The two halves of a call in stream mode, and the call that they make."""

from __future__ import annotations

from otel_ebpf.kernel.records import ContextSource, Piece, Role
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.calls import Call, HttpCall, HttpRequest
from otel_ebpf.protocols.http1_fields import NO_LENGTH, UNDELIMITED, Fields
from otel_ebpf.protocols.http1_request import Asked
from otel_ebpf.protocols.http1_response import declared_by, has_body, is_upgrade

_NO_PARENT = bytes(8)
_UNKNOWN = -1


class Request:
    """A request head, and how much of its body came."""

    __slots__ = ("asked", "body", "declared", "end", "fields", "offset", "piece", "start")

    def __init__(self, piece: Piece, offset: int, asked: Asked, fields: Fields, whole: bool):
        """`piece` and `offset` are of the first byte; `whole` is False for a head that is cut off."""
        self.piece = piece
        self.offset = offset
        self.start = self.end = piece.time
        self.asked = asked
        self.fields = fields
        self.declared = fields.declared
        if not whole and self.declared == NO_LENGTH:
            self.declared = UNDELIMITED  # not known to be without a body
        self.body = _UNKNOWN  # until it is complete

    def size(self) -> int:
        """Return the body's size: what passed of a whole one, what was declared of another."""
        if self.body >= 0:
            return self.body
        if self.declared == NO_LENGTH:
            return 0
        return self.declared if self.declared >= 0 else _UNKNOWN


class Response:
    """A final response head, and how much of its body came. `request` is None for an orphan."""

    __slots__ = ("body", "declared", "end", "request", "start", "status", "upgrade", "version")

    def __init__(self, request: Request | None, status: int, start: int, head: bytes):
        method = request.asked.method if request else "GET"
        self.request = request
        self.status = status
        self.start = self.end = start
        self.version = "1.0" if head.startswith(b"HTTP/1.0") else "1.1"
        self.declared = declared_by(head) if has_body(method, status) else 0
        self.upgrade = is_upgrade(method, status)
        self.body = _UNKNOWN

    def size(self) -> int:
        """Return the body's size, -1 where it is unknown."""
        if self.body >= 0:
            return self.body
        return self.declared if self.declared >= 0 else _UNKNOWN


def make_call(ids: TraceIds, request: Request, response: Response | None, how: int, error: int) -> Call:
    """Pair a request with its response, or with none."""
    piece, asked, fields = request.piece, request.asked, request.fields
    said = HttpRequest(
        asked.method,
        asked.path,
        asked.query,
        asked.authority or fields.host,
        asked.version or (response.version if response else "1.1"),
        fields.user_agent,
        fields.forwarded_for,
        fields.trace_state,
    )
    status, size = (response.status, response.size()) if response else (0, 0)
    value = HttpCall(said, status, request.size(), size)
    span_id = ids.of(piece.connection, request.offset, piece.vantage.role)[1]
    trace_id, parent_id, flags, source = _context(ids, request)
    start = response.start if response else 0
    end = response.end if response else request.end
    return Call(
        piece, value, request.start, start, end, how, error, trace_id, span_id, parent_id, flags, source
    )


def _context(ids: TraceIds, request: Request) -> tuple[bytes, bytes, int, int]:
    """Return a request's trace id, parent, flags and where they come from.

    The kernel has settled it for what its piece begins with. Behind that, a client's are made by the same
    task; of a server's it is known that the client is on this host, and so what its ids are, unless it was
    itself serving others by turns.
    """
    piece, offset, context = request.piece, request.offset, request.fields.context
    if context is not None:
        return context.trace_id, context.parent_id, context.flags, int(ContextSource.HEADER)
    settled = piece.trace_id, piece.parent_id, piece.trace_flags, piece.context_source
    source = piece.context_source & ~ContextSource.DECIDED
    if (source != ContextSource.NONE and offset == piece.offset) or source == ContextSource.SERVED:
        return settled
    if source == ContextSource.PEER:
        asked = ids.of(piece.connection, piece.offset, Role.CLIENT)
        if asked == (piece.trace_id, piece.parent_id):
            return *ids.of(piece.connection, offset, Role.CLIENT), 0, int(ContextSource.PEER)
    return ids.of(piece.connection, offset, piece.vantage.role)[0], _NO_PARENT, 0, int(ContextSource.ROOT)
