"""`traceparent` of incoming requests (W3C Trace Context, level 1)."""

from __future__ import annotations

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
    (span,) = traced.backend.expect(1, port=server.port, kind=SERVER, mark=mark, quiet=0)
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
