"""Requests are followed through uvloop, which reads and writes outside of its tasks' contexts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.hops import REQUESTS, TRACES, UVICORN, Hops, check, judge_amid_traffic, judged
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER

# Where a runtime's task is asked for is the same on every rung.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50]
PROGRAMS = {
    "asyncio": [*UVICORN, "--loop", "uvloop", "asyncio_hop:app", "--port"],
    "mixed": [*UVICORN, "--loop", "uvloop", "mixed_hop:app", "--port"],
}
"""With httpx; with aiohttp's client."""
BY_CONNECTION = {
    "aiohttp": [sys.executable, TRACES / "on_uvloop.py", TRACES / "aiohttp_hop.py"],
    "streams": [sys.executable, TRACES / "on_uvloop.py", TRACES / "streams_hop.py"],
}
"""They have a task for each connection, and none for each request."""


@pytest.fixture
def hop(traced: Traced) -> Iterator[Hops]:
    """Programs of each test's own, with something that keeps the probes in the library."""
    with Hops() as hops:
        keeper = hops("keeper", PROGRAMS["asyncio"])
        drive(keeper.port, ["/walk/0"])
        wait_until(
            lambda: any("uvloop" in one["path"] for one in traced.agent.status()["runtimes"]["followed"])
        )
        yield hops


def _two(hop: Hops, name: str) -> tuple[Server, Server, Server]:
    one, two = (hop(f"{name}-{number}", PROGRAMS[name]) for number in range(2))
    for server in (one, two):
        drive(server.port, ["/walk/0"] * 4)
    return one, two, hop("threaded-0")


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_chain(traced: Traced, hop: Hops, name: str, at_once: int) -> None:
    """Of connections that are kept, and of new ones."""
    one, two, last = _two(hop, name)
    check(traced, one, f"{two.port}/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}c/{last.port}c", 6, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", PROGRAMS)
def test_several_at_once_by_tasks_and_by_other_threads(
    traced: Traced, hop: Hops, name: str, at_once: int
) -> None:
    one, two, last = _two(hop, name)
    other = hop("threaded-1")
    check(traced, one, f"{two.port}*{last.port}c*{other.port}", 8, at_once)
    check(traced, one, f"{two.port}k+{last.port}tc+{other.port}t", 8, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_asked_in_the_background_has_no_parent(
    traced: Traced, hop: Hops, name: str, at_once: int
) -> None:
    """When the answer has been sent, the connection may have another request already."""
    one, two, last = _two(hop, name)
    verdict = judged(traced, one, f"{two.port}b/{last.port}", 6, at_once)
    assert verdict.orphans == {f"{name}_hop client": REQUESTS}, str(verdict)


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", BY_CONNECTION)
def test_a_task_of_a_connection_has_no_parent(traced: Traced, hop: Hops, name: str, at_once: int) -> None:
    """It is made in a context that all connections of the server share."""
    one, two = (hop(f"{name}-{number}", BY_CONNECTION[name]) for number in range(2))
    last = hop("threaded-0")
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, at_once)
    assert sum(verdict.orphans.values()) == 2 * REQUESTS, str(verdict)
    verdict = judged(traced, one, f"{two.port}c/{last.port}c", 6, at_once)
    assert sum(verdict.orphans.values()) == 2 * REQUESTS, str(verdict)


def test_requests_that_come_over_tls_have_their_children_or_none(traced: Traced, hop: Hops) -> None:
    """What is decrypted was read before, and not always in a context of the connection's own."""
    own = certificates()
    files = ["--ssl-certfile", own.certificate, "--ssl-keyfile", own.key]
    one, last = (
        hop("encrypted", [*UVICORN, "--loop", "uvloop", "asyncio_hop:app", *files, "--port"]),
        hop("threaded-0"),
    )
    mark = new_mark()
    paths = [f"/walk/{number}/{last.port}" for number in range(3)]
    drive(one.port, paths, mark=mark, tls=own.client_context())
    for number in range(3):
        seen = traced.backend.expect(4, mark=f"{mark}-{number}")
        (inner,) = (span for span in seen if span.kind == CLIENT and span.port == last.port)
        (outer,) = (span for span in seen if span.kind == SERVER and span.port == one.port)
        assert not inner.parent_id or (inner.trace_id, inner.parent_id) == (outer.trace_id, outer.span_id)


def test_an_agent_that_starts_amid_traffic_tells_nothing_wrong(
    rung: str, start_agent: Callable[..., Traced]
) -> None:
    """Requests and connections are older than it is."""
    with Hops() as hop:
        chain = [hop("threaded-0"), hop("asyncio", PROGRAMS["asyncio"]), hop("threaded-1")]
        judge_amid_traffic(rung, start_agent, chain, "", 4)
