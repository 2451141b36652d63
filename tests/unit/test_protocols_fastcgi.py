"""FastCGI: records and pairs cut anywhere, and what requests and responses say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols_support import IDS, exchange, piece

from otel_ebpf.kernel.records import Capture, ContextSource, Direction, End
from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.calls import Call, HttpCall, HttpRequest
from otel_ebpf.protocols.fastcgi import FastCgi
from otel_ebpf.protocols.fastcgi_records import Kind, pairs, records
from otel_ebpf.protocols.fastcgi_response import Answered, read_response

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def record(kind: int, content: bytes = b"", request: int = 1, padding: int = 0) -> bytes:
    numbers = request.to_bytes(2, "big") + len(content).to_bytes(2, "big")
    return bytes((1, kind)) + numbers + bytes((padding, 0)) + content + bytes(padding)


def length(size: int) -> bytes:
    return bytes((size,)) if size < 128 else (size | 1 << 31).to_bytes(4, "big")


def parameters(**said: str) -> bytes:
    made = ((name.encode(), value.encode()) for name, value in said.items())
    return b"".join(length(len(name)) + length(len(value)) + name + value for name, value in made)


BEGIN = record(Kind.BEGIN_REQUEST, bytes((0, 1, 1, 0, 0, 0, 0, 0)))
LAST = record(Kind.PARAMS) + record(Kind.STDIN)
END = record(Kind.END_REQUEST, bytes(8))
SAID = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/a?b=c", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "shop"}


def request(**more: str) -> bytes:
    return BEGIN + record(Kind.PARAMS, parameters(**SAID, **more), padding=3) + LAST


def response(head: str = "Content-type: text/html\r\n\r\n", body: bytes = b"hello") -> bytes:
    return record(Kind.STDOUT, head.encode() + body, padding=2) + END


def parsed(asked: bytes, answered: bytes = b"", **options: int) -> Call:
    call = FastCgi().parse(exchange(asked, answered, end=End.CHUNK, **options))
    assert call is not None
    return call


def test_all_of_an_ordinary_exchange() -> None:
    asked = request(HTTP_USER_AGENT="curl/8", REMOTE_ADDR="10.0.0.1", CONTENT_LENGTH="7", HTTPS="on")
    call = parsed(asked, response("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\n"))
    expected = HttpRequest("GET", "/a", "b=c", "shop", "1.1", "curl/8", "10.0.0.1", "", "https")
    assert call.value == HttpCall(expected, 404, 7, 5)
    assert (call.trace_id, call.span_id, call.how) == (b"T" * 16, b"S" * 8, End.CHUNK)


@pytest.mark.parametrize(
    ("said", "host", "version", "client"),
    [
        ({"HTTP_HOST": "", "SERVER_NAME": "a.example", "SERVER_PORT": "8080"}, "a.example:8080", "1.1", ""),
        ({"HTTP_HOST": "", "SERVER_NAME": "a.example", "SERVER_PORT": "443"}, "a.example", "1.1", ""),
        ({"HTTP_HOST": "", "SERVER_NAME": "_"}, "", "1.1", ""),
        ({"SERVER_PROTOCOL": "HTTP/2.0"}, "shop", "2", ""),
        ({"HTTP_X_FORWARDED_FOR": "10.1.1.1, 10.2.2.2", "REMOTE_ADDR": "::1"}, "shop", "1.1", "10.1.1.1"),
    ],
)
def test_whose_names_count(said: dict[str, str], host: str, version: str, client: str) -> None:
    asked = parsed(BEGIN + record(Kind.PARAMS, parameters(**{**SAID, **said})) + LAST, response())
    found = asked.value.request
    assert (found.host, found.version, found.forwarded_for) == (host, version, client)


def test_a_web_server_that_says_no_uri() -> None:
    said = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "/x.php", "PATH_INFO": "/y", "QUERY_STRING": "q=1"}
    call = parsed(BEGIN + record(Kind.PARAMS, parameters(**said)) + LAST)
    assert (call.value.request.path, call.value.request.query) == ("/x.php/y", "q=1")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (response(), Answered(200, 5)),
        (response("Location: /b\r\n\r\n"), Answered(302, 5)),
        (response("X: y\r\nstatus:500\r\n\r\n", b""), Answered(500, 0)),
        (response("Status: none\r\n\r\n"), Answered(-1, 5)),
        (record(Kind.STDERR, b"PHP message") + response(), Answered(200, 5)),
        (record(Kind.STDOUT, b"Status: 40") + record(Kind.STDOUT, b"3 No\n\nhi") + END, Answered(403, 2)),
        (END, Answered(0, 0)),
        (b"", Answered(0, -1)),
        (b"HTTP/1.1 200 OK\r\n\r\n", Answered(-1, -1)),
    ],
)
def test_statuses(answer: bytes, expected: Answered) -> None:
    assert read_response(answer, len(answer)) == expected


def test_a_response_of_which_the_head_alone_was_captured() -> None:
    whole = response("Status: 404 Not Found\r\nContent-Length: 90000\r\n\r\n", b"x" * 5000)
    assert read_response(whole[:200], 90200) == Answered(404, 90000)
    assert read_response(whole[:40], 90200) == Answered(404, -1)
    assert read_response(whole[:12], 90200) == Answered(-1, -1)


def test_a_request_that_is_longer_than_the_capture() -> None:
    asked = request(HTTP_COOKIE="x" * 9000, HTTP_USER_AGENT="late")
    call = parsed(asked[:1024], response(), flags=Capture.TRUNCATED)
    assert (call.value.request.path, call.value.request.user_agent) == ("/a", "")
    assert call.value.request_body == -1
    assert FastCgi().parse(exchange(asked[:30], response())) is None


def test_several_requests_at_once_are_not_read() -> None:
    assert FastCgi().parse(exchange(request() + BEGIN, response())) is None
    other = BEGIN + record(Kind.PARAMS, parameters(**SAID), request=2) + LAST
    assert FastCgi().parse(exchange(other, response())) is None


def test_other_roles_are_not_read() -> None:
    authorizer = record(Kind.BEGIN_REQUEST, bytes((0, 2, 1, 0, 0, 0, 0, 0)))
    assert FastCgi().claim(authorizer, response()) is Claim.NO


def test_a_traceparent_that_the_kernel_did_not_read() -> None:
    asked = request(HTTP_TRACEPARENT=f"00-{TRACE}-{PARENT}-01")
    call = parsed(asked, response())
    assert (call.trace_id.hex(), call.parent_id.hex()) == (TRACE, PARENT)
    assert (call.trace_flags, call.context_source) == (1, ContextSource.HEADER)
    assert parsed(asked, response(), source=ContextSource.HEADER).trace_id == b"T" * 16


@pytest.mark.parametrize(
    ("asked", "answered", "expected"),
    [
        (request(), response(), Claim.YES),
        (request(), b"", Claim.LIKELY),
        (BEGIN[:8], b"", Claim.MAYBE),
        (b"", response(), Claim.MAYBE),
        (request(), b"HTTP/1.1 200 OK\r\n\r\n", Claim.NO),
        (b"GET / HTTP/1.1\r\n\r\n", response(), Claim.NO),
        (record(Kind.STDIN) + request(), response(), Claim.NO),
        (bytes(64), bytes(64), Claim.NO),
    ],
)
def test_claims(asked: bytes, answered: bytes, expected: Claim) -> None:
    assert FastCgi().claim(asked, answered) is expected


def test_pieces_are_counted_and_not_read() -> None:
    stream = FastCgi().stream(IDS)
    assert not stream.feed(piece(request(), Direction.REQUEST, 0))
    assert stream.unparsed == 1


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300))))
def test_pairs_are_read_as_they_were_written(said: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(length(len(name)) + length(len(value)) + name + value for name, value in said)
    assert [*pairs(data)] == said


@given(st.integers(0, 200), st.lists(st.integers(1, 60), min_size=1))
def test_parameters_that_are_split_over_records_and_cut_off(cut: int, sizes: list[int]) -> None:
    """What is said is what is said of the whole, as far as it goes."""
    text, split = parameters(**SAID), b""
    whole = dict(pairs(text))
    for size in sizes:
        split += record(Kind.PARAMS, text[:size], padding=size % 8) if text else b""
        text = text[size:]
    read = b"".join(one.content for one in records((BEGIN + split)[:cut]) if one.kind == Kind.PARAMS)
    assert dict(pairs(read)).items() <= whole.items()


@settings(max_examples=300)
@given(st.data())
def test_hostile_bytes_are_no_exception(data: st.DataObject) -> None:
    made = (request(HTTP_TRACEPARENT="00"), response(), END)
    blocks = st.one_of(st.binary(max_size=100), st.sampled_from(made).flatmap(cuts))
    asked, answered = data.draw(blocks), data.draw(blocks)
    protocol = FastCgi()
    protocol.claim(asked, answered)
    for one in (exchange(asked, answered), exchange(BEGIN + asked, answered)):
        call = protocol.parse(one)
        assert call is None or call.value.status >= 0


def cuts(data: bytes) -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, len(data)), st.binary(max_size=9)).map(
        lambda cut: data[: cut[0]] + cut[1] + data[cut[0] + len(cut[1]) :]
    )
