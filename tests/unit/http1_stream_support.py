"""What the tests of HTTP/1 in stream mode say and compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protocols_support import IDS

from otel_ebpf.kernel.records import Piece
from otel_ebpf.protocols.base import Stream
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.http1 import Http1

MS = 1_000_000
LENGTH = b"Content-Length: %d\r\n\r\n"


def stream() -> Stream:
    return Http1().stream(IDS)


def get(path: bytes, method: bytes = b"GET") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\nHost: shop\r\n\r\n"


def reply(body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + LENGTH % len(body) + body


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def run(state: Stream, pieces: Iterable[Piece]) -> list[Call]:
    return [call for each in pieces for call in state.feed(each)]


def brief(calls: Sequence[Call]) -> list[tuple[str, int, int]]:
    return [(call.value.request.path, call.value.status, call.value.response_body) for call in calls]
