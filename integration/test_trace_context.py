"""`traceparent` of incoming requests (W3C Trace Context, level 1)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.measured import drive, new_mark
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"

Application = Callable[[str], Server]


def _served(traced: Traced, server: Server, headers: dict[str, str]) -> SeenSpan:
    mark = new_mark()
    drive(server.port, ["/json"], mark=mark, headers=headers)
    (span,) = traced.backend.expect(1, port=server.port, kind=SERVER, mark=mark)
    return span


HONOURED = {
    "plain": {"traceparent": f"00-{TRACE}-{PARENT}-01"},
    "other_case": {"TraceParent": f"00-{TRACE}-{PARENT}-01"},
    "later_version": {"traceparent": f"01-{TRACE}-{PARENT}-01-more"},
    "late_in_the_head": {"X-Pad": "a" * 700, "traceparent": f"00-{TRACE}-{PARENT}-01"},
    "last_of_many": {**{f"X-{i}": "b" * 10 for i in range(20)}, "traceparent": f"00-{TRACE}-{PARENT}-01"},
}


@pytest.mark.fast
@pytest.mark.parametrize("name", HONOURED)
def test_honoured(traced: Traced, application: Application, name: str) -> None:
    span = _served(traced, application("threaded"), HONOURED[name])
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert span.span_id not in (PARENT, "0" * 16)


def test_trace_state_is_kept(traced: Traced, application: Application) -> None:
    """By both ends of the request, where it stands beside a valid traceparent."""
    server, state = application("threaded"), "vendor=1,other@key=abc"
    for traceparent, kept in ((f"00-{TRACE}-{PARENT}-01", state), (f"00-{TRACE}-{PARENT}", "")):
        span = _served(traced, server, {"traceparent": traceparent, "tracestate": state})
        (client,) = traced.backend.marked(span.mark, CLIENT)
        assert (span.trace_state, client.trace_state) == (kept, kept)


def _padded(before: int, after: int) -> bytes:
    """Return a request's head in which so many bytes of fields stand before and behind the traceparent."""

    def fields(size: int) -> str:
        count, rest = divmod(size, 100)
        return "".join(f"X-{number:04}: {'a' * 92}\r\n" for number in range(count)) + (
            f"Y: {'b' * (rest - 5)}\r\n" if rest > 5 else ""
        )

    context = f"TraceParent: 00-{TRACE}-{PARENT}-01\r\n"
    return f"Host: localhost\r\n{fields(before)}{context}{fields(after)}\r\n".encode()


@pytest.mark.parametrize("split", [0, 1, 7, 1000])
@pytest.mark.parametrize(
    ("before", "after"), [(900, 0), (980, 3000), (2000, 100), (3000, 4000), (7700, 0), (7000, 900)]
)
def test_wherever_it_stands_in_the_first_8_kib(
    traced: Traced, application: Application, before: int, after: int, split: int
) -> None:
    """Of a head that comes at once, and of one that comes in two pieces, cut within the traceparent."""
    server, mark = application("threaded"), new_mark()
    whole = f"GET /json?n={mark} HTTP/1.1\r\n".encode() + _padded(before, after)
    cut = whole.index(b"TraceParent") + 20 - split if split else len(whole)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(whole[:cut])
        time.sleep(0.02)
        client.sendall(whole[cut:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    (span,) = traced.backend.expect(1, port=server.port, kind=SERVER, mark=mark)
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)


REFUSED = {
    "version_ff": f"ff-{TRACE}-{PARENT}-01",
    "no_trace": f"00-{'0' * 32}-{PARENT}-01",
    "no_parent": f"00-{TRACE}-{'0' * 16}-01",
    "upper_case": f"00-{TRACE.upper()}-{PARENT}-01",
    "short": f"00-{TRACE[:-1]}-{PARENT}-01",
    "not_hex": f"00-{TRACE[:-1]}g-{PARENT}-01",
    "too_long_for_version_00": f"00-{TRACE}-{PARENT}-01-more",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(traced: Traced, application: Application, name: str) -> None:
    """What is not well formed is as if it were not there: the trace is the client's, which begins it."""
    span = _served(traced, application("threaded"), {"traceparent": REFUSED[name]})
    (client,) = traced.backend.marked(span.mark, CLIENT)
    assert span.trace_id not in (TRACE, "0" * 32)
    assert (span.trace_id, span.parent_id) == (client.trace_id, client.span_id)
    assert client.parent_id == ""


def test_roots_differ(traced: Traced, application: Application) -> None:
    server, mark = application("threaded"), new_mark()
    drive(server.port, ["/json"] * 20, mark=mark)
    spans = traced.backend.expect(20, port=server.port, kind=SERVER, mark=mark)
    assert len({span.trace_id for span in spans}) == len({span.span_id for span in spans}) == 20
