"""Whole exchanges: `Http1.parse`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols_support import exchange

from otel_ebpf.kernel.records import Capture, ContextSource, End
from otel_ebpf.protocols.calls import Call, HttpCall, HttpRequest
from otel_ebpf.protocols.http1 import Http1

GET = b"GET /a?b=c HTTP/1.1\r\nHost: shop\r\nUser-Agent: curl/8\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
ASKED = HttpRequest("GET", "/a", "b=c", "shop", "1.1", "curl/8", "1.2.3.4")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def parsed(*arguments: bytes, **options: int) -> Call:
    call = Http1().parse(exchange(*arguments, **options))
    assert call is not None
    return call


def head(response: bytes) -> int:
    return response.rfind(b"\r\n\r\n") + 4


def test_all_of_an_ordinary_exchange() -> None:
    call = parsed(GET, OK, response_head=head(OK))
    assert call.value == HttpCall(ASKED, 200, 0, 5)
    assert (call.start, call.response_start, call.end, call.how) == (1000, 1200, 1300, End.LENGTH)
    assert (call.trace_id, call.span_id, call.parent_id) == (b"T" * 16, b"S" * 8, bytes(8))
    assert call.context_source == ContextSource.ROOT


def test_the_second_of_two_equal_exchanges_is_read_alike() -> None:
    protocol, record = Http1(), exchange(GET, OK, response_head=head(OK))
    assert protocol.parse(record) == protocol.parse(record) == Http1().parse(record)


CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_that_the_kernel_did_not_read() -> None:
    request = b"GET / HTTP/1.1\r\nTraceParent: " + TRACEPARENT + b"\r\n\r\n"
    call = parsed(request, OK)
    assert call.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert call.parent_id.hex() == "b7ad6b7169203331"
    assert (call.span_id, call.trace_flags, call.context_source) == (b"S" * 8, 1, ContextSource.HEADER)
    call = parsed(request.replace(b"-b7", b"-B7"), OK)
    assert (call.trace_id, call.context_source) == (b"T" * 16, ContextSource.ROOT)


def test_the_context_that_the_kernel_read_stays() -> None:
    request = b"GET / HTTP/1.1\r\ntraceparent: " + TRACEPARENT + b"\r\n\r\n"
    assert parsed(request, OK, source=ContextSource.HEADER).trace_id == b"T" * 16


@pytest.mark.parametrize("known", [ContextSource.SERVED, ContextSource.PEER])
def test_a_traceparent_that_was_passed_on(known: int) -> None:
    """The kernel has read it, and knows a parent that is nearer."""
    source = known | ContextSource.DECIDED
    request = b"GET / HTTP/1.1\r\ntraceparent: 00-" + b"54" * 16 + b"-b7ad6b7169203331-01\r\n\r\n"
    call = parsed(request, OK, source=source, response_head=head(OK))
    assert (call.trace_id, call.parent_id, call.context_source) == (b"T" * 16, bytes(8), source)
    assert parsed(request, OK, source=known).context_source == ContextSource.HEADER
    other = parsed(request.replace(b"54" * 16, b"55" * 16), OK, source=source)
    assert (other.trace_id, other.context_source) == (b"U" * 16, ContextSource.HEADER)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 404 N\r\n\r\n", 404),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", 101),
        (b"HTTP/1.0 500 Oops\n\n", 500),
        (b"HTTP/1.1 204\r\n\r\n", 204),
        (b"HTTP/1.1 999 Denied\r\n\r\n", 999),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 0),
        (b"HTTP/1.1 100 Cont", 0),
        (b"", 0),
    ],
)
def test_the_final_status(response: bytes, status: int) -> None:
    assert parsed(GET, response, end=End.RESET).value.status == status


def test_a_final_status_behind_the_captured_bytes_is_the_kernels() -> None:
    response = b"HTTP/1.1 103 Hints\r\nLink: " + b"x" * 300 + b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    assert parsed(GET, response, status=200, response_head=len(response)).value.status == 200
    assert parsed(GET, response).value.status == 0


@pytest.mark.parametrize("response", [b"HTTP/1.1 2", b"HTTP/1.1 abc\r\n\r\n", b"\x15\x03\x01", b"hello"])
def test_a_response_without_a_status_is_not_read(response: bytes) -> None:
    assert Http1().parse(exchange(GET, response)) is None


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET", b"G@T / HTTP/1.1\r\n\r\n", b"GET /\r\n", b"\xff\xfe\x00", b"PRI * HTTP/2.0\r\n\r\n"],
)
def test_what_is_no_request_is_not_read(request_bytes: bytes) -> None:
    assert Http1().parse(exchange(request_bytes, OK)) is None


def test_an_answer_to_nothing_is_not_read() -> None:
    assert Http1().parse(exchange(GET, b"HTTP/1.1 408 Timeout\r\n\r\n", flags=Capture.SERVER_FIRST)) is None


def test_a_request_without_a_response() -> None:
    call = parsed(GET, end=End.RESET, error=104)
    assert (call.value.status, call.response_start, call.end) == (0, 0, 1100)
    assert (call.how, call.error, call.value.response_body) == (End.RESET, 104, 0)


def test_a_head_that_the_capture_cuts_off() -> None:
    long = b"GET /a?b=c HTTP/1.1\r\nHost: shop\r\nCookie: " + b"x" * 2000 + b"\r\nUser-Agent: curl\r\n\r\n"
    value = parsed(long, OK, response_head=head(OK)).value
    asked = value.request
    assert (asked.path, asked.host, asked.user_agent, value.request_body) == ("/a", "shop", "", 0)
    cut_host = b"GET /a HTTP/1.1\r\nUser-Agent: curl\r\nHost: shop.example"
    value = parsed(cut_host + b".org\r\n\r\n", OK, request_capture=len(cut_host)).value
    assert (value.request.host, value.request.user_agent) == ("", "curl")


def test_a_request_line_that_the_capture_cuts_off() -> None:
    request = b"GET /" + b"p" * 2000 + b"?q=1 HTTP/1.0\r\nHost: shop\r\n\r\n"
    value = parsed(request, b"HTTP/1.0 414 Long\r\n\r\n").value
    assert (value.request.path, value.request.query, value.request.version) == ("/" + "p" * 1019, "", "1.0")


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "size"),
    [
        (POST + b"\r\n", 0),
        (POST + b"Content-Length: 4\r\n\r\nbody", 4),
        (POST + b"Content-Length: 4000\r\n\r\n" + b"x" * 4000, 4000),
        (POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n", 0),
        (POST + b"Content-Length: 4\r\n\r\nbody\r\n", 4),
        (POST + chunked(b"hello", b"you"), 8),
        (POST + chunked(b"x" * 2000), -1),
        (POST + b"Content-Length: x\r\n\r\nbody", -1),
        (POST + b"X: " + b"y" * 1500 + b"\r\nContent-Length: 4\r\n\r\nbody", -1),
        (POST + b"X: " + b"y" * 1500 + b"\r\n\r\n", 0),
    ],
)
def test_request_sizes(request_bytes: bytes, size: int) -> None:
    assert parsed(request_bytes, OK).value.request_body == size


def test_a_request_that_was_broken_off_has_its_declared_size() -> None:
    assert parsed(POST + b"Content-Length: 4000\r\n\r\nbody", end=End.RESET).value.request_body == 4000


RESPONSE = b"HTTP/1.1 200 OK\r\nDate: now\r\n"


@pytest.mark.parametrize(
    ("response", "end", "size"),
    [
        (OK, End.LENGTH, 5),
        (RESPONSE + b"Content-Length: 9000\r\n\r\n" + b"x" * 9000, End.LENGTH, 9000),
        (RESPONSE + b"Content-Length: 9000\r\n\r\n" + b"x" * 10, End.RESET, 9000),
        (RESPONSE + b"\r\nuntil the end", End.FIN, 13),
        (RESPONSE + b"\r\nuntil the end", End.RESET, -1),
        (RESPONSE + b"\r\nuntil silence", End.IDLE, -1),
        (RESPONSE + chunked(b"hello", b"you"), End.CHUNK, 8),
        (RESPONSE + chunked(b"x" * 900), End.CHUNK, -1),
        (RESPONSE + b"X: " + b"y" * 500 + b"\r\n\r\nbody", End.LENGTH, 4),
        (RESPONSE + b"X: " + b"y" * 500 + b"\r\n\r\nbody", End.FIN, -1),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", End.LENGTH, 0),
        (b"HTTP/1.1 204 No Content\r\n\r\n", End.TURN, 0),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, End.LENGTH, 5),
    ],
)
@pytest.mark.parametrize("followed", [True, False], ids=["kernel-followed", "not-followed"])
def test_response_sizes(response: bytes, end: End, size: int, followed: bool) -> None:
    where = response.rfind(b"\r\n\r\n", 0, -5 if end == End.CHUNK else None)
    where = response.index(b"\r\n\r\n") if b"chunked" in response else where
    start = where + 4 if followed else 0
    if not followed and where + 4 > 256:
        size = -1  # no one saw the head's end
    assert parsed(GET, response, end=end, response_head=start).value.response_body == size


def test_the_response_to_head_has_no_body() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    request = GET.replace(b"GET", b"HEAD")
    for end in (End.LENGTH, End.TURN, End.FIN, End.IDLE):
        assert parsed(request, response, end=end).value.response_body == 0


def test_connect() -> None:
    request = b"CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n"
    value = parsed(request, b"HTTP/1.1 200 Established\r\n\r\n", end=End.UPGRADE).value
    asked = value.request
    assert (asked.method, asked.path, asked.host, value.response_body) == ("CONNECT", "", "shop:443", 0)


@pytest.mark.parametrize("place", range(len(GET) + 1))
def test_a_capture_that_ends_anywhere(place: int) -> None:
    call = Http1().parse(exchange(GET, OK, request_capture=place))
    assert (call is None) == (place < len(b"GET /"))
    if call is not None:
        assert "/a".startswith(call.value.request.path)
        assert call.value.request.host in ("", "shop")
        assert call.value.request.user_agent in ("", "curl/8")
        assert call.value.request.forwarded_for in ("", "1.2.3.4")


FRAGMENTS = st.sampled_from(
    [
        b"GET ",
        b"POST / HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"\r\n",
        b"\n",
        b" ",
        b":",
        b"Content-Length: ",
        b"5",
        b"\xff",
        b"Transfer-Encoding: chunked\r\n",
        b"HTTP/1.1 ",
        b"200 OK\r\n",
        b"100 \r\n\r\n",
        b"?",
        b"http://",
        b"0\r\n\r\n",
        b"traceparent: 00-",
        b"Forwarded: for=",
        b"X-Forwarded-For:",
        b"\0",
        b"CONNECT a:1 HTTP/1.1\r\n",
    ]
)
MESSY = st.one_of(st.binary(max_size=300), st.lists(FRAGMENTS, max_size=20).map(b"".join))


@settings(max_examples=600, deadline=None)
@given(
    MESSY,
    MESSY,
    st.sampled_from(End),
    st.integers(0, 2000),
    st.integers(0, 2000),
    st.integers(0, 65535),
    st.integers(0, 300),
    st.integers(0, 127),
)
def test_nothing_makes_it_raise(
    request_bytes: bytes,
    response: bytes,
    end: End,
    request_head: int,
    response_head: int,
    status: int,
    capture: int,
    flags: int,
) -> None:
    record = exchange(
        request_bytes,
        response,
        end=end,
        request_head=request_head,
        response_head=response_head,
        status=status,
        request_capture=capture,
        response_capture=capture,
        flags=flags,
    )
    call = Http1().parse(record)
    if call is not None:
        assert 0 <= call.value.status < 65536
        assert call.value.request_body >= -1
        assert call.value.response_body >= -1
        assert call.value.request.method


LINES = st.sampled_from(
    [
        b"Host: shop",
        b"host:other:81",
        b"User-Agent: curl/8",
        b"Forwarded: for=192.0.2.1",
        b"X-Forwarded-For: 1.2.3.4, 5.6.7.8",
        b"Content-Length: 4",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"X-Odd",
        b" folded",
        b"traceparent: " + TRACEPARENT,
        b"Traceparent: " + TRACEPARENT,
        b"traceparent: 00-0-0-0",
        b"tracestate: a=1, b=2",
        b"tracestate: c=3",
    ]
)
REQUEST_LINES = [b"GET /a HTTP/1.1", b"POST http://b/a?b HTTP/1.0", b"\r\nGET /a HTTP/1.1", b"HEAD * X"]


@settings(max_examples=300)
@given(
    st.sampled_from(REQUEST_LINES),
    st.lists(LINES, max_size=5),
    st.sampled_from([b"", b"body", b"4\r\nbody\r\n0\r\n\r\n"]),
    st.sampled_from([(OK, End.LENGTH), (b"HTTP/1.0 204 No\r\n\r\n", End.LENGTH), (CHUNKED_OK, End.CHUNK)]),
    st.sampled_from([ContextSource.ROOT, ContextSource.HEADER]),
    st.sampled_from([20, 1024]),
)
def test_the_short_way_reads_what_the_long_one_reads(
    line: bytes,
    fields: list[bytes],
    body: bytes,
    answer: tuple[bytes, End],
    source: ContextSource,
    captured: int,
) -> None:
    asked = b"\r\n".join([line, *fields, b"", b""])
    response, end = answer
    record = exchange(
        asked + body,
        response,
        end=end,
        source=source,
        status=int(response[9:12]),
        request_head=len(asked),
        response_head=head(response) if end == End.LENGTH else response.find(b"\r\n\r\n") + 4,
        request_capture=captured,
    )
    protocol = Http1()
    for _ in range(2):  # the second time from memory
        assert protocol.parse(record) == protocol._parse_unusual(record)
