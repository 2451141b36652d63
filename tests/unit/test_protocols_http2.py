from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.http2 import PREFACE, Http2, frames


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


SETTINGS, ACK = frame(4, payload=bytes(12)), frame(4, 1)
PREFACE_OF_SERVER = frame(4, payload=bytes((0, 3, 0, 0, 0, 250, 0, 5, 0, 16, 0, 0)))
HEADERS, DATA = frame(1, 4, 3, b"x" * 40), frame(0, 1, 3, b"y" * 900)
WINDOW, PING = frame(8, 0, 0, bytes(4)), frame(6, 0, 0, bytes(8))


@pytest.mark.parametrize(
    ("request_bytes", "response", "expected"),
    [
        (PREFACE, b"", Claim.LIKELY),
        (PREFACE + SETTINGS, SETTINGS + ACK, Claim.YES),
        (PREFACE, SETTINGS[:9], Claim.YES),
        (PREFACE, b"HTTP/1.1 400 Bad Request\r\n\r\n", Claim.NO),
        (PREFACE[:7], b"", Claim.MAYBE),
        (PREFACE[:7], SETTINGS, Claim.MAYBE),
        (HEADERS + DATA, HEADERS + DATA, Claim.YES),
        (HEADERS + DATA, WINDOW + PING + HEADERS, Claim.YES),
        (HEADERS, HEADERS, Claim.NO),
        (HEADERS + DATA, b"", Claim.MAYBE),
        (b"", HEADERS + DATA + HEADERS, Claim.MAYBE),
        (b"", PREFACE_OF_SERVER, Claim.YES),
        (b"", PREFACE_OF_SERVER + WINDOW, Claim.YES),
        (b"", PREFACE_OF_SERVER[:15], Claim.YES),
        (b"", PREFACE_OF_SERVER[:14], Claim.MAYBE),
        (b"", SETTINGS, Claim.MAYBE),
        (b"", frame(4, payload=bytes((0, 17, 0, 0, 0, 1))), Claim.MAYBE),
        (HEADERS, PREFACE_OF_SERVER, Claim.NO),
        (HEADERS + DATA, HEADERS + b"\xff" * 20, Claim.NO),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", Claim.NO),
        (b"", b"", Claim.NO),
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", Claim.NO),
        (b"\x00\x00\x00\x10\x00\x03" + bytes(6) + b"test", b"\x00\x00\x00\x08" + bytes(8), Claim.NO),
        (b"Q\x00\x00\x00\x0dselect 1\x00", b"T\x00\x00\x00\x21\x00\x01", Claim.NO),
        (bytes(64), bytes(64), Claim.NO),
    ],
)
def test_claims(request_bytes: bytes, response: bytes, expected: Claim) -> None:
    assert Http2().claim(request_bytes, response) is expected


@pytest.mark.parametrize(
    "data",
    [
        frame(10),
        frame(0, 2, 1, b"x"),
        frame(1, 4, 0, b"x"),
        frame(1, 4, 2, b"x"),
        frame(4, 0, 1),
        frame(4, 1, 0, bytes(6)),
        frame(4, 0, 0, bytes(5)),
        frame(6, 0, 0, bytes(7)),
        frame(3, 0, 1, bytes(5)),
        frame(7, 0, 0, bytes(4)),
        frame(1, 4, 1),
        frame(0, 0, 1 << 31 | 1, b"x"),
        frame(5, 4, 1, b"x" * 8),
        b"\x00\x80\x00" + bytes(6),
    ],
)
def test_what_is_no_frame(data: bytes) -> None:
    assert frames(data, client=True) == 0
    assert frames(HEADERS + data, client=True) == 0


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200).filter(lambda data: not data.startswith(PREFACE)), st.binary(max_size=200))
def test_random_bytes_are_never_claimed(request_bytes: bytes, response: bytes) -> None:
    """Hypothesis tries constants of the code too, of which the preface is claimed: see above."""
    assert Http2().claim(request_bytes, response) in (Claim.NO, Claim.MAYBE)
    assert Http2().claim(b"GET / HTTP/1.1\r\n" + request_bytes, response) is Claim.NO
