"""Protocols, ClientHello: what a TLS client asks for, whole, cut off and hostile."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.protocols.tls_hello import NOTHING, ClientHello, parse_client_hello

TLS_1_2, TLS_1_3 = 0x0303, 0x0304


def real(name: str | None = "shop.example", protocols: tuple[str, ...] = (), newest: int = TLS_1_3) -> bytes:
    """Return the first flight of OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion(newest)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, body)


def server_name(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes((kind,)) + vector(2, name)))


def made(extensions: bytes | None, record: int = 1 << 14, legacy: int = TLS_1_2) -> bytes:
    """Return a hello with these extensions, in TLS records of at most `record` bytes."""
    body = legacy.to_bytes(2, "big") + bytes(32) + vector(1, bytes(32)) + vector(2, b"\x13\x01") + b"\1\0"
    if extensions is not None:
        body += vector(2, extensions)
    message = b"\1" + vector(3, body)
    parts = [message[at : at + record] for at in range(0, len(message), record)]
    return b"".join(b"\x16\x03\x01" + vector(2, part) for part in parts)


def test_openssl_s_hello() -> None:
    found = parse_client_hello(real(protocols=("h2", "http/1.1")))
    assert (found.server_name, found.protocols, found.whole) == ("shop.example", ("h2", "http/1.1"), True)
    assert found.versions[:2] == (TLS_1_3, TLS_1_2)


def test_a_client_that_asks_for_nothing() -> None:
    found = parse_client_hello(real(None, newest=TLS_1_2))
    assert (found.server_name, found.protocols, found.versions) == ("", (), (TLS_1_2,))


def test_without_extensions() -> None:
    assert parse_client_hello(made(None, legacy=0x0301)) == ClientHello(versions=(0x0301,), whole=True)


def test_cut_anywhere_it_says_nothing_that_is_not_true() -> None:
    data = real(protocols=("h2", "http/1.1"))
    whole = parse_client_hello(data)
    seen = set()
    for size in range(len(data)):
        found = parse_client_hello(data[:size])
        assert not found.whole
        assert found.server_name in ("", whole.server_name)
        assert found.protocols in ((), whole.protocols)
        assert found.versions in ((), whole.versions)
        seen.add(found[:3])
    assert NOTHING[:3] in seen
    assert len(seen) > 1, "of what is cut off some is still read"


@pytest.mark.parametrize("record", [1, 7, 100])
def test_in_many_records(record: int) -> None:
    assert parse_client_hello(made(server_name(b"a.example"), record)).server_name == "a.example"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"Shop.Example", "shop.example"),
        (b"xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        (b"shop.example.", "shop.example"),
        (b"a_b.example", "a_b.example"),
        (b"192.0.2.1", "192.0.2.1"),
        (b"", ""),
        (b".", ""),
        (b"a b", ""),
        (b"a\0b", ""),
        (b"a/../b", ""),
        (b"\xff\xfe", ""),
        (b"a" * 255, "a" * 255),
        (b"a" * 256, ""),
    ],
)
def test_what_is_a_host_name(name: bytes, expected: str) -> None:
    assert parse_client_hello(made(server_name(name))).server_name == expected


def test_a_name_of_another_kind_is_passed_over() -> None:
    names = b"\7" + vector(2, b"other") + b"\0" + vector(2, b"a.example")
    assert parse_client_hello(made(extension(0, vector(2, names)))).server_name == "a.example"


def test_grease_is_left_out() -> None:
    offered = vector(1, b"\x0a\x0a") + vector(1, b"h2")
    versions = vector(1, b"\x0a\x0a\x03\x04\xfa\xfa\x03\x03")
    found = parse_client_hello(made(extension(16, vector(2, offered)) + extension(43, versions)))
    assert (found.protocols, found.versions) == (("h2",), (TLS_1_3, TLS_1_2))


@pytest.mark.parametrize("kind", [0, 16, 43])
@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\xff", b"\0\0", b"\0\1\0", b"\0\3\0\0\5", b"\5abc", b"\3\3\4\3"]
)
def test_an_extension_that_is_malformed_spoils_no_other(kind: int, body: bytes) -> None:
    other = extension(16, vector(2, vector(1, b"h2"))) if kind == 0 else server_name(b"a.example")
    found = parse_client_hello(made(extension(kind, body) + other))
    assert found.whole
    assert found.protocols == ("h2",) if kind == 0 else found.server_name == "a.example"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\0\0" + made(b"")[5:],
        b"\x16\x02" + made(b"")[2:],
        b"\x15" + made(b"")[1:],
        made(b"")[:5] + b"\2" + made(b"")[6:],
        b"\x16\x03\x01\xff\xff" + bytes(300),
    ],
)
def test_what_is_no_client_hello(data: bytes) -> None:
    assert parse_client_hello(data) == NOTHING


@given(st.binary(max_size=400))
def test_whatever_bytes_come(data: bytes) -> None:
    assert isinstance(parse_client_hello(data), ClientHello)


@given(st.binary(max_size=300), st.integers(1, 64))
def test_whatever_extensions_come(data: bytes, record: int) -> None:
    found = parse_client_hello(made(data, record))
    assert isinstance(found, ClientHello)
    assert all(one.isascii() and one.isprintable() for one in (found.server_name, *found.protocols))


HELLO = real(protocols=("h2", "http/1.1"))


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255), st.integers(0, len(HELLO)))
def test_one_byte_that_is_another(at: int, byte: int, stop: int) -> None:
    changed = HELLO[:at] + bytes((byte,)) + HELLO[at + 1 :]
    assert isinstance(parse_client_hello(changed[:stop]), ClientHello)
