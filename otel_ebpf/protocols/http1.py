"""HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112).

Hot path. Budget: `parse` of one exchange takes at most 3 us (tests/unit/test_http1_exchange.py
prints what it takes). What the kernel has found out already, where heads end, is not looked for
again; response fields are read only where the kernel did not see the response's end.
"""

from __future__ import annotations

from http import HTTPStatus

from otel_ebpf.kernel.records import Capture, ContextSource, Exchange
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, Stream
from otel_ebpf.protocols.calls import Call, HttpCall
from otel_ebpf.protocols.http1_claim import claim
from otel_ebpf.protocols.http1_head import head_end, is_interim, status_at
from otel_ebpf.protocols.http1_request import Heads
from otel_ebpf.protocols.http1_sizes import request_size, response_size
from otel_ebpf.protocols.http1_stream import Http1Stream
from otel_ebpf.protocols.traceparent import TraceParent

_new = tuple.__new__  # without the layer that NamedTuple puts over it: half its cost
_FROM_HEADER = int(ContextSource.HEADER)
_USUAL = {
    f"HTTP/{version} {int(status)}{after}".encode(): int(status)
    for version in ("1.0", "1.1")
    for status in HTTPStatus
    for after in " \r"
    if status >= HTTPStatus.OK
}  # one look-up for what nearly all responses begin with
_SERVER_FIRST = int(Capture.SERVER_FIRST)


class Http1:
    """The protocol, as `registry.py` lists it. One object serves all connections of one thread."""

    __slots__ = ("_heads",)

    name = "http"
    supported = True
    server_first = False
    interleaved = False

    def __init__(self) -> None:
        self._heads = Heads()

    def claim(self, request: bytes, response: bytes) -> Claim:
        """See `http1_claim`."""
        return claim(request, response)

    def stream(self, ids: TraceIds) -> Stream:
        """See `http1_stream`."""
        return Http1Stream(ids, self._heads)

    def parse(self, exchange: Exchange) -> Call | None:
        """Read one exchange.

        None where there is no request line, where bytes of a response passed but no status can
        be told, and where the server spoke first (a 408 to an idle connection answers nothing).
        A request line that the capture cuts off gives the path so far. Status is 0 without a
        final response. Never raises.
        """
        request = exchange.request
        if request[:1] in b"\r\n":
            request = request.lstrip(b"\r\n")
        line_end = request.find(b"\n")
        asked = self._heads.asked(request[: line_end + 1] if line_end >= 0 else request)
        if asked is None or exchange.flags & _SERVER_FIRST:
            return None
        response = exchange.response
        status, start = _USUAL.get(response[:13], 0), 0
        if not status:
            status, start = final_status(exchange)
            if status < 0:
                return None
        end = exchange.request_head or head_end(request)
        sent = self._heads.fields(request[line_end + 1 : end if end > 0 else None] if line_end >= 0 else b"")
        method, path, query, authority, version = asked
        value = (
            method,
            path,
            query,
            authority or sent.host,
            version or status_version(response),
            status,
            sent.user_agent,
            sent.forwarded_for,
            request_size(exchange, request, sent.declared, end),
            response_size(exchange, method, status, start),
        )
        return _call(exchange, _new(HttpCall, value), sent.context)


def final_status(exchange: Exchange) -> tuple[int, int]:
    """Return (status, where its head begins in the captured response).

    Interim responses are skipped. The status is 0 without a final response, -1 where there is
    one that cannot be read. What was not captured the kernel may have read (`exchange.status`).
    """
    response = exchange.response
    start = 0
    while True:
        status = status_at(response, start)
        if not is_interim(status):
            break
        start = head_end(response, start)
        if start < 0 or start >= len(response):
            start = len(response)
            break
    if status >= 200 or status == 101:
        return status, start
    if exchange.status >= 200 or exchange.status == 101:
        return exchange.status, len(response)
    return (0 if status or not exchange.response_bytes else -1), start


def status_version(response: bytes) -> str:
    """Return the response's version, for a request whose line was cut off before its own."""
    return "1.0" if response.startswith(b"HTTP/1.0") else "1.1"


def _call(exchange: Exchange, value: HttpCall, context: TraceParent | None) -> Call:
    trace_id, parent_id, flags = exchange.trace_id, exchange.parent_id, exchange.trace_flags
    source = exchange.context_source
    if context is not None and source != _FROM_HEADER:
        trace_id, parent_id, flags = context
        source = _FROM_HEADER
    start = exchange.time
    end = exchange.response_end or exchange.request_end or start
    answered, how, error = exchange.response_start, exchange.end, exchange.error
    ids = exchange.span_id, parent_id, flags, source
    return _new(Call, (exchange, value, start, answered, end, how, error, trace_id, *ids))
