"""HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112).

Hot path. Budget: `parse` of a repeated exchange takes at most 1 us (benchmarks/user_space.py has
what it takes). What the kernel has found out already, where heads end, is not looked for again;
response fields are read only where the kernel did not see the response's end.
"""

from __future__ import annotations

from otel_ebpf.kernel.records import Capture, ContextSource, End, Exchange
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, Stream
from otel_ebpf.protocols.calls import Call, HttpCall, HttpRequest
from otel_ebpf.protocols.exchange_call import make_call
from otel_ebpf.protocols.http1_claim import claim
from otel_ebpf.protocols.http1_fields import NO_LENGTH
from otel_ebpf.protocols.http1_head import head_end, is_interim, status_at
from otel_ebpf.protocols.http1_request import Heads
from otel_ebpf.protocols.http1_sizes import UNKNOWN, request_size, response_size
from otel_ebpf.protocols.http1_stream import Http1Stream

_new = tuple.__new__  # without the layer that NamedTuple puts over it: half its cost
_FROM_HEADER = int(ContextSource.HEADER)
_LENGTH = int(End.LENGTH)
_ENDED = (_LENGTH, int(End.CHUNK))  # where the kernel has followed the response to its end
_SERVER_FIRST = int(Capture.SERVER_FIRST)


class Http1:
    """The protocol, as `registry.py` lists it. One object serves all connections of one thread."""

    __slots__ = ("_heads",)

    name = "http"
    supported = True
    server_first = False
    followed = True
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
        # Taking all fields out at once costs as much as reading four of them by name.
        (
            _, _, _, flags, _, how, error, _, _, start, _, _, trace_id, span_id, parent_id, trace_flags,
            source, _, response_start, response_end, request_bytes, response_bytes, _, _, _, _, _, _,
            head, response_head, _, _, _, status, data, _, _, _, _,
        ) = exchange  # fmt: skip
        answered = response_bytes - response_head
        if how not in _ENDED or not (head and response_head and status and answered >= 0):
            return self._parse_unusual(exchange)
        whole = None
        if head <= len(data) and not flags & _SERVER_FIRST:  # else the capture has cut it off
            whole = self._heads.whole(data[:head], source == _FROM_HEADER)
        if whole is None:
            return self._parse_unusual(exchange)
        request, declared = whole
        asked = request_bytes - head
        value = (
            request,
            status,
            request_size(exchange, data, declared, head) if asked > 0 else 0,
            answered if how == _LENGTH else response_size(exchange, request.method, status, 0),
        )
        return _new(
            Call,
            (exchange, _new(HttpCall, value), start, response_start, response_end, how, error, trace_id,
             span_id, parent_id, trace_flags, source),
        )  # fmt: skip

    def body_bound(self, exchange: Exchange) -> int:
        """Return the length that the request declares for its body, 0 for none.

        -1 where what an exchange like this one says does not follow from its likeness alone.
        """
        head = exchange.request_head
        if not (head and exchange.response_head and exchange.status) or exchange.flags & _SERVER_FIRST:
            return UNKNOWN
        whole = self._heads.whole(exchange.request[:head], exchange.context_source == _FROM_HEADER)
        if whole is None:
            return UNKNOWN
        return 0 if whole.declared == NO_LENGTH else max(whole.declared, UNKNOWN)

    def _parse_unusual(self, exchange: Exchange) -> Call | None:
        """Read an exchange of which the kernel does not know everything, or which has an odd head."""
        request = exchange.request
        if request[:1] in b"\r\n":
            request = request.lstrip(b"\r\n")
        line_end = request.find(b"\n")
        asked = self._heads.asked(request[: line_end + 1] if line_end >= 0 else request)
        if asked is None or exchange.flags & _SERVER_FIRST:
            return None
        response = exchange.response
        status, start = final_status(exchange)
        if status < 0:
            return None
        end = exchange.request_head or head_end(request)
        sent = self._heads.fields(request[line_end + 1 : end if end > 0 else None] if line_end >= 0 else b"")
        method, path, query, authority, version = asked
        host, version = authority or sent.host, version or status_version(response)
        value = HttpCall(
            HttpRequest(
                method, path, query, host, version, sent.user_agent, sent.forwarded_for, sent.trace_state
            ),
            status,
            request_size(exchange, request, sent.declared, end),
            response_size(exchange, method, status, start),
        )
        return make_call(exchange, value, sent.context)


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
