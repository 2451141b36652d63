"""Records as the kernel would make them, for the tests of the protocols stage."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Any

from otel_ebpf.kernel.records import (
    Capture,
    Close,
    ContextSource,
    Direction,
    End,
    Exchange,
    Kind,
    Piece,
    Role,
)
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.kernel.vantage import Vantage

IDS = TraceIds(0x1234, 0x5678)
CONNECTION = 0xAAAA0000BBBB
REQUEST_CAPTURE, RESPONSE_CAPTURE = 1024, 256


def _header(
    kind: Kind,
    end: int,
    *,
    connection: int,
    time: int,
    offset: int = 0,
    flags: int = 0,
    lost: int = 0,
    error: int = 0,
    source: int = ContextSource.NONE,
) -> tuple[Any, ...]:
    made = source != ContextSource.NONE
    context = (
        (b"T" * 16, b"S" * 8, bytes(8), 0, int(source))
        if made
        else (bytes(16), bytes(8), bytes(8), 0, int(source))
    )
    return (
        40000,
        lost,
        bytes(8),
        int(flags),
        int(kind),
        int(end),
        error,
        connection,
        offset,
        time,
        0x50C,
        bytes(16),
        *context,
    )


@cache
def seen_from(role: int) -> Vantage:
    """Return the vantage of that end, the same one each time."""
    return Vantage(1, 2, int(role), 8080, 4026531840, 1, 1, 10, 10, bytes(16))


def exchange(
    request: bytes,
    response: bytes = b"",
    *,
    end: int = End.LENGTH,
    request_head: int | None = None,
    response_head: int = 0,
    request_capture: int = REQUEST_CAPTURE,
    response_capture: int = RESPONSE_CAPTURE,
    connection: int = CONNECTION,
    role: int = Role.SERVER,
    flags: int = 0,
    status: int = 0,
    error: int = 0,
    source: int = ContextSource.ROOT,
) -> Exchange:
    """An exchange of which `request` and `response` are all bytes that passed."""
    asked, answered = request[:request_capture], response[:response_capture]
    if len(asked) < len(request) or len(answered) < len(response):
        flags |= Capture.TRUNCATED
    header = _header(
        Kind.EXCHANGE,
        end,
        connection=connection,
        offset=0,
        time=1000,
        flags=flags,
        error=error,
        source=source,
    )
    if request_head is None:
        request_head = request.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in request else 0
    return Exchange(
        *header,
        1100,
        1200 if response else 0,
        1300 if response else 0,
        len(request),
        len(response),
        *(0,) * 6,  # the network's part
        request_head,
        response_head,
        len(asked),
        len(answered),
        0,
        status,
        asked,
        answered,
        b"",
        seen_from(role),
        0,
    )


def piece(
    data: bytes,
    direction: int,
    offset: int,
    *,
    time: int = 1000,
    length: int | None = None,
    lost: int = 0,
    role: int = Role.SERVER,
    connection: int = CONNECTION,
) -> Piece:
    """`length` bytes passed, of which `data` was captured."""
    header = _header(Kind.PIECE, End.NONE, connection=connection, offset=offset, time=time, lost=lost)
    return Piece(
        *header,
        len(data) if length is None else length,
        len(data),
        int(direction),
        0,
        data,
        b"",
        seen_from(role),
    )


def close(end: int = End.FIN, error: int = 0, role: int = Role.SERVER, connection: int = CONNECTION) -> Close:
    header = _header(
        Kind.CLOSE, end, connection=connection, offset=0, time=9000, flags=0, lost=0, error=error
    )
    return Close(*header, 0, 0, seen_from(role))


class Script:
    """Writes a connection's pieces: offsets and times advance by themselves."""

    def __init__(self, role: int = Role.SERVER, connection: int = CONNECTION) -> None:
        self.role = role
        self.connection = connection
        self.offsets = [1, 1]
        self.time = 1000

    def ask(self, data: bytes, length: int | None = None, lost: int = 0) -> Piece:
        return self._next(Direction.REQUEST, data, length, lost)

    def answer(self, data: bytes, length: int | None = None, lost: int = 0) -> Piece:
        return self._next(Direction.RESPONSE, data, length, lost)

    def _next(self, direction: int, data: bytes, length: int | None, lost: int) -> Piece:
        size = len(data) if length is None else length
        made = piece(
            data,
            direction,
            self.offsets[direction],
            time=self.time,
            length=size,
            lost=lost,
            role=self.role,
            connection=self.connection,
        )
        self.offsets[direction] += size
        self.time += 100
        return made


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Split `data` at the given places."""
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


class Control:
    """Notes what the kernel would have been told."""

    def __init__(self) -> None:
        self.ignored: list[tuple[int, int]] = []
        self.streamed: list[tuple[int, int]] = []

    def ignore(self, socket: int, connection: int) -> None:
        self.ignored.append((socket, connection))

    def stream(self, socket: int, connection: int) -> None:
        self.streamed.append((socket, connection))
