"""The two halves of a call in stream mode, and the call that they make."""

from __future__ import annotations

from otel_ebpf.kernel.records import ContextSource, Piece
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
    )
    status, size = (response.status, response.size()) if response else (0, 0)
    value = HttpCall(said, status, request.size(), size)
    trace_id, span_id = ids.of(piece.connection, request.offset, piece.vantage.role)
    parent_id, flags, source = _NO_PARENT, 0, int(ContextSource.ROOT)
    if fields.context is not None:
        trace_id, parent_id, flags = fields.context
        source = int(ContextSource.HEADER)
    start = response.start if response else 0
    end = response.end if response else request.end
    return Call(
        piece, value, request.start, start, end, how, error, trace_id, span_id, parent_id, flags, source
    )
