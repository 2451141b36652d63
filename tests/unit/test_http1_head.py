from __future__ import annotations

import pytest

from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.http1_chunks import chunk_length, chunked_size
from otel_ebpf.protocols.http1_claim import claim
from otel_ebpf.protocols.http1_fields import CHUNKED, NO_LENGTH, UNDELIMITED, FieldReader
from otel_ebpf.protocols.http1_forwarded import forwarded_for
from otel_ebpf.protocols.http1_head import head_end, request_line, split_target, status_at
from otel_ebpf.protocols.http1_response import declared_by
from otel_ebpf.protocols.traceparent import parse_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", ("GET", b"/", "1.1")),
        (b"GET / HTTP/1.0\r\n", ("GET", b"/", "1.0")),
        (b"GET / HTTP/1.1\n", ("GET", b"/", "1.1")),
        (b"\r\n\r\nGET / HTTP/1.1\r\n", ("GET", b"/", "1.1")),
        (b"PROPFIND /a?b HTTP/1.1\r\n", ("PROPFIND", b"/a?b", "1.1")),
        (b"GET /a b HTTP/1.1\r\n", ("GET", b"/a b", "1.1")),
        (b"GET /cut/off/he", ("GET", b"/cut/off/he", "")),
        (b"GET /cut HTT", ("GET", b"/cut", "")),
        (b"GET /cut HTTP/1.1", ("GET", b"/cut", "")),
        (b"GET /cut HTTP/1.1\r", ("GET", b"/cut", "")),
        (b"GET /a b", ("GET", b"/a b", "")),
        (b"GET", None),
        (b"GET ", None),
        (b"GET  HTTP/1.1\r\n", None),
        (b"GET /\r\n", None),
        (b"GET / HTTP/2.0\r\n", None),
        (b"GET / RTSP/1.0\r\n", None),
        (b"G@T / HTTP/1.1\r\n", None),
        (b"G\xc3\xa9T / HTTP/1.1\r\n", None),
        (b"X" * 33 + b" / HTTP/1.1\r\n", None),
        (b"", None),
        (b"\x16\x03\x01\x02\x00\x01", None),
        (b" / HTTP/1.1\r\n", None),
    ],
)
def test_the_request_line(head: bytes, expected: tuple[str, bytes, str] | None) -> None:
    assert request_line(head) == expected


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", b"/", ("/", "", "")),
        ("GET", b"/a/b?c=d?e", ("/a/b", "c=d?e", "")),
        ("GET", b"/?", ("/", "", "")),
        ("GET", b"//evil/x", ("//evil/x", "", "")),
        ("GET", b"/%7Ea%2fb?q=%20", ("/%7Ea%2fb", "q=%20", "")),
        ("GET", b"http://shop:8080/a?b", ("/a", "b", "shop:8080")),
        ("GET", b"http://user:secret@shop/a", ("/a", "", "shop")),
        ("GET", b"http://shop", ("/", "", "shop")),
        ("GET", b"http://shop?q=1/2", ("/", "q=1/2", "shop")),
        ("GET", b"/redirect?to=http://other/x", ("/redirect", "to=http://other/x", "")),
        ("CONNECT", b"shop:443", ("", "", "shop:443")),
        ("OPTIONS", b"*", ("*", "", "")),
        ("GET", b"/\xff\xfe", ("/��", "", "")),
        ("GET", "/ü".encode(), ("/ü", "", "")),
        ("GET", b"relative?x", ("relative", "x", "")),
    ],
)
def test_the_forms_of_a_target(method: str, target: bytes, expected: tuple[str, str, str]) -> None:
    assert split_target(method, target) == expected


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 404\r\n", 404),
        (b"HTTP/1.1 599\n", 599),
        (b"HTTP/1.1 200", 200),
        (b"HTTP/1.1 20", 0),
        (b"HTTP/1.1 2000 OK\r\n", 0),
        (b"HTTP/1.1 099 No\r\n", 0),
        (b"HTTP/1.1 abc\r\n", 0),
        (b"HTTP/2.0 200 OK\r\n", 0),
        (b"", 0),
    ],
)
def test_the_status_line(data: bytes, status: int) -> None:
    assert status_at(data, 0) == status
    assert status_at(b"xy" + data, 2) == status


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"a\r\n\r\nb", 5),
        (b"a\n\nb", 3),
        (b"a\r\n\nb", 4),
        (b"a\n\r\nb", 4),
        (b"a\n\n body \r\n\r\n", 3),
        (b"a\r\n\r\n body \n\n", 5),
        (b"a\r\nb\r\n", -1),
        (b"", -1),
    ],
)
def test_where_a_head_ends(data: bytes, end: int) -> None:
    assert head_end(data) == end


def test_wanted_fields_whatever_their_case() -> None:
    block = b"hOsT:  shop \r\nUSER-AGENT:\tcurl\r\nContent-length: 12\r\nExpect: 100-continue\r\n\r\n"
    fields = FieldReader().read(block)
    assert (fields.host, fields.user_agent, fields.declared, fields.expects) == ("shop", "curl", 12, True)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([b"a=1,b@c=2"], "a=1,b@c=2"),
        ([b"a=1", b"b=2 , c=3"], "a=1,b=2,c=3"),
        ([b"a=1", b"b"], ""),
        ([b"a=1", b"a=1"], ""),
        ([b"\xff=1"], ""),
        ([b"a=" + b"x" * 600], ""),
        ([b""], ""),
    ],
)
def test_trace_state_is_a_list_in_one_field_or_several(sent: list[bytes], kept: str) -> None:
    lines = b"".join(b"TraceState: " + value + b"\r\n" for value in sent)
    assert FieldReader().read(b"Host: shop\r\n" + lines + b"\r\n").trace_state == kept


def test_the_second_reading_of_a_line_is_like_the_first() -> None:
    reader = FieldReader()
    block = b"Host: a\r\nHost: b\r\nAccept: */*\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=5.6.7.8\r\n\r\n"
    assert reader.read(block) == reader.read(block) == FieldReader().read(block)
    assert reader.read(block).host == "a"
    assert reader.read(block).forwarded_for == "5.6.7.8"


def test_lines_with_secrets_are_not_remembered() -> None:
    reader = FieldReader()
    reader.read(b"Cookie: secret\r\nAUTHORIZATION: secret\r\nX-Api-Key: secret\r\nHost: a\r\n\r\n")
    assert set(reader._lines) == {b"Host: a", b""}


def test_the_memory_of_lines_is_bounded() -> None:
    reader = FieldReader()
    for number in range(10_000):
        reader.read(b"Host: %d\r\n\r\n" % number)
    assert len(reader._lines) <= 4096


@pytest.mark.parametrize(
    ("block", "host", "agent"),
    [
        (b"Host: a\nUser-Agent: b\n\n", "a", "b"),
        (b"Host: a\r\nUser-Agent: b\r\n  c\r\n\td\r\nX: y\r\n\r\n", "a", "b c d"),
        (b"X: y\r\n Host: folded\r\nHost: real\r\n\r\n", "real", ""),
        (b"Host: a\r\nUser-Agent: cut o", "a", ""),
        (b"Host: a\r\nUser-Agent: b\r\n fol", "a", ""),
        (b"Host: a\r\nUser-Agent: b\r\n", "a", "b"),
        (b"Host : a\r\n\r\n", "", ""),
        (b"HostX\r\nHost\r\n\r\n", "", ""),
        (b"Host: \xff\r\n\r\n", "�", ""),
        (b"", "", ""),
        (b"\r\n", "", ""),
    ],
)
def test_odd_field_lines(block: bytes, host: str, agent: str) -> None:
    fields = FieldReader().read(block)
    assert (fields.host, fields.user_agent) == (host, agent)


@pytest.mark.parametrize(
    ("block", "declared"),
    [
        (b"", NO_LENGTH),
        (b"Content-Length: 0\r\n", 0),
        (b"content-length:7\r\n", 7),
        (b"Content-Length: 7, 7\r\n", 7),
        (b"Content-Length: 7, 8\r\n", UNDELIMITED),
        (b"Content-Length: -1\r\n", UNDELIMITED),
        (b"Content-Length: +1\r\n", UNDELIMITED),
        (b"Content-Length: 0x10\r\n", UNDELIMITED),
        (b"Content-Length: " + b"9" * 40 + b"\r\n", UNDELIMITED),
        (b"Transfer-Encoding: chunked\r\n", CHUNKED),
        (b"TRANSFER-ENCODING: gzip, CHUNKED\r\nContent-Length: 3\r\n", CHUNKED),
        (b"Transfer-Encoding: gzip\r\n", UNDELIMITED),
        (b"X-Content-Length: 7\r\n", NO_LENGTH),
        (b"X: y\r\n Content-Length: 7\r\n", NO_LENGTH),
    ],
)
def test_the_declared_length_in_requests_and_responses(block: bytes, declared: int) -> None:
    assert FieldReader().read(block + b"\r\n").declared == declared
    assert declared_by(b"HTTP/1.1 200 OK\r\n" + block + b"\r\n") == declared


@pytest.mark.parametrize(
    ("forwarded", "x_forwarded_for", "address"),
    [
        (b"", b"", ""),
        (b"", b"203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (b"", b"203.0.113.7:4711", "203.0.113.7"),
        (b"", b"2001:db8::1", "2001:db8::1"),
        (b"", b"[2001:db8::1]:80", "2001:db8::1"),
        (b"for=192.0.2.60;proto=http;by=203.0.113.43, for=10.0.0.1", b"1.1.1.1", "192.0.2.60"),
        (b'proto=http; For="[2001:db8:cafe::17]:4711"', b"", "2001:db8:cafe::17"),
        (b"for=unknown", b"", ""),
        (b"for=_hidden", b"", ""),
        (b"proto=https", b"1.1.1.1", "1.1.1.1"),
        (b"", b"x" * 300, ""),
        (b"", b"\xff", "�"),
    ],
)
def test_the_forwarded_client(forwarded: bytes, x_forwarded_for: bytes, address: str) -> None:
    assert forwarded_for(forwarded, x_forwarded_for) == address


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-ff", True),
        (f"cc-{TRACE}-{PARENT}-01-what-comes", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01.what", False),
        (f"00-{TRACE}-{PARENT}-01-what", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}-0", False),
        (f"00-{TRACE}-{PARENT}-0g", False),
        (f"0-0{TRACE}-{PARENT}-01", False),
        (f"00_{TRACE}-{PARENT}-01", False),
        ("", False),
        ("é" * 30, False),
    ],
)
def test_traceparent(value: str, valid: bool) -> None:
    context = parse_traceparent(value.encode())
    assert (context is not None) == valid
    if context is not None:
        assert (context.trace_id.hex(), context.parent_id.hex()) == (TRACE, PARENT)
        assert context.flags == int(value[53:55], 16)


def test_chunks() -> None:
    assert chunk_length(b"1F;name=value\r\n") == 31
    assert chunk_length(b" 0 \r\n") == 0
    assert [chunk_length(line) for line in (b"", b"\r\n", b"-1", b"0x1", b"f" * 16, b"1_0")] == [-1] * 6
    body = b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    assert chunked_size(b"head" + body, 4) == 8
    assert [chunked_size(body[:end], 0) for end in range(len(body))] == [-1] * len(body)


REQUEST, RESPONSE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "response_bytes", "expected"),
    [
        (REQUEST, RESPONSE, Claim.YES),
        (REQUEST, b"", Claim.LIKELY),
        (b"GET /" + b"x" * 1019, RESPONSE, Claim.YES),
        (b"GET /" + b"x" * 1019, b"", Claim.MAYBE),
        (b"", RESPONSE, Claim.MAYBE),
        (b"", b"", Claim.MAYBE),
        (b"G", b"H", Claim.MAYBE),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RESPONSE, Claim.NO),
        (b"get key\r\n", b"END\r\n", Claim.NO),
        (REQUEST, b"END\r\n", Claim.NO),
        (REQUEST, b"\x15\x03\x01", Claim.NO),
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", Claim.NO),
        (b"EHLO mail\r\n", b"250 OK\r\n", Claim.NO),
        (b"\x16\x03\x01\x02", b"", Claim.NO),
        (b"\x00" * 20, b"", Claim.NO),
        (b"OPTIONS rtsp://h RTSP/1.0\r\n", b"RTSP/1.0 200 OK\r\n", Claim.NO),
        (b"INVITE sip:a@b SIP/2.0\r\n", b"", Claim.NO),
    ],
)
def test_claims(request_bytes: bytes, response_bytes: bytes, expected: Claim) -> None:
    assert claim(request_bytes, response_bytes) is expected


def test_every_beginning_of_an_exchange_may_be_one() -> None:
    for end in range(1, len(REQUEST)):
        assert claim(REQUEST[:end], b"") in (Claim.MAYBE, Claim.LIKELY)
    for end in range(1, len(RESPONSE)):
        assert claim(b"", RESPONSE[:end]) is Claim.MAYBE
