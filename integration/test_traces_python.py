"""Requests are followed through CPython's event loops: what a coroutine asks has the right parent or none."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.hops import REQUESTS, TRACES, UVICORN, Hops, check, judged
from integration.harness.measured import drive, new_mark
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from tests.interpreters import interpreters

# Where a runtime's task is asked for is the same on every rung.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50]
PROGRAMS = {
    "asyncio": [*UVICORN, "--loop", "asyncio", "asyncio_hop:app", "--port"],
    "mixed": [*UVICORN, "--loop", "asyncio", "mixed_hop:app", "--port"],
    "aiohttp": [sys.executable, TRACES / "aiohttp_hop.py"],
    "streams": [sys.executable, TRACES / "streams_hop.py"],
}
"""Uvicorn with httpx; with aiohttp's client; aiohttp on both sides; asyncio's streams on both sides."""


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_chain(traced: Traced, hop: Hops, name: str, at_once: int) -> None:
    """Of connections that are kept, and of new ones."""
    one, two, last = _two(hop, name)
    check(traced, one, f"{two.port}/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}c/{last.port}c", 6, at_once)


@pytest.mark.parametrize("at_once", [10, 50])
@pytest.mark.parametrize("name", PROGRAMS)
def test_several_at_once_by_tasks_and_by_other_threads(
    traced: Traced, hop: Hops, name: str, at_once: int
) -> None:
    one, two, last = _two(hop, name)
    other = hop("threaded-1")
    check(traced, one, f"{two.port}*{last.port}c*{other.port}", 8, at_once)
    check(traced, one, f"{two.port}k+{last.port}tc+{other.port}t", 8, at_once)


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_asked_in_the_background_has_no_parent(
    traced: Traced, hop: Hops, name: str, at_once: int
) -> None:
    """When the answer has been sent, the connection may have another request already."""
    one, two, last = _two(hop, name)
    verdict = judged(traced, one, f"{two.port}b/{last.port}", 6, at_once)
    assert verdict.orphans == {f"{name}_hop client": REQUESTS}, str(verdict)


def test_an_agent_that_comes_later(rung: str, start_agent: Callable[..., Traced]) -> None:
    """What was made for the server before is not known, what is made for each connection is."""
    with Hops() as older:
        servers = one, two, last = _two(older, "streams")
        drive(one.port, [f"/walk/1/{two.port}/{last.port}"] * 20)
        include = [{"ports": [server.port for server in servers]}]
        later = start_agent(rung, config={"discovery": {"include": include}})
        for server in (one, two):
            drive(server.port, ["/walk/0"] * 20)
        verdict = judged(later, one, f"{two.port}c/{last.port}c", 6, 10)
        assert not verdict.orphans, str(verdict)


def test_requests_that_come_over_tls(traced: Traced, hop: Hops) -> None:
    """Its bytes are received by the connection's reader, and decrypted there."""
    own = certificates()
    files = ["--ssl-certfile", own.certificate, "--ssl-keyfile", own.key]
    words = [*PROGRAMS["asyncio"][:-1], *files, "--port"]
    one, last, mark = hop("encrypted-0", words), hop("threaded-0"), new_mark()
    drive(
        one.port, [f"/walk/{number}/{last.port}" for number in range(3)], mark=mark, tls=own.client_context()
    )
    for number in range(3):
        seen = traced.backend.expect(4, mark=f"{mark}-{number}")
        (outer,) = (span for span in seen if span.kind == SERVER and span.port == one.port)
        (inner,) = (span for span in seen if span.kind == CLIENT and span.port == last.port)
        assert (inner.trace_id, inner.parent_id) == (outer.trace_id, outer.span_id)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_a_task_that_goes_on_after_the_answer(traced: Traced, hop: Hops, at_once: int) -> None:
    """It might be taken for one that works on the connection's next request: see `judged`."""
    one = hop("late-0", [sys.executable, TRACES / "streams_hop.py", "late"])
    last = hop("threaded-0")
    judged(traced, one, f"{last.port}", 4, at_once)


@pytest.mark.parametrize("at_once", [50])
@pytest.mark.parametrize("name", interpreters())
def test_each_interpreter(traced: Traced, hop: Hops, name: str, at_once: int) -> None:
    """What is read of an interpreter's memory stands elsewhere in each version."""
    command = [interpreters()[name], TRACES / "streams_hop.py"]
    one, two = (_trusted(hop(f"{which}-{name}", command)) for which in ("one", "two"))
    last = hop("threaded-0")
    check(traced, one, f"{two.port}c*{last.port}k", 6, at_once)
    check(traced, one, f"{two.port}+{last.port}t", 6, at_once)


def _two(hop: Hops, name: str) -> tuple[Server, Server, Server]:
    one, two = (_trusted(hop(f"{name}-{number}", PROGRAMS[name])) for number in range(2))
    return one, two, hop("threaded-0")


def _trusted(server: Server) -> Server:
    """Return it once what serves its connections is believed, which takes 16 requests."""
    _ask_twenty_times(server.port)
    return server


@functools.cache
def _ask_twenty_times(port: int) -> None:
    drive(port, ["/walk/0"] * 20)
