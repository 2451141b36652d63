"""Threads that a thread starts while it serves a request: what they ask has no parent.

Where `traces.started_threads` asks for it, it is the request's child, once a program has shown what its
threads are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from integration.conftest import Traced
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.build import c_program
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judged
from integration.harness.measured import drive
from integration.harness.ports import POOL
from integration.harness.servers import Server

pytestmark = pytest.mark.one_rung


@pytest.fixture(scope="module")
def following(rung: str) -> Iterator[Traced]:
    """An agent that was asked to follow such threads."""
    half = len(POOL) // 2
    config = {
        "discovery": {"include": [{"ports": list(POOL[:half])}, {"ports": list(POOL[half:])}]},
        "traces": {"started_threads": True},
        "capture": {"ring_bytes": 64 << 20},
    }
    with (
        Backend() as backend,
        Agent(
            endpoint=backend.endpoint,
            rung=rung,
            config=config,
            environment={"OTEL_BSP_MAX_QUEUE_SIZE": "65536"},
        ) as agent,
    ):
        yield Traced(agent, backend)


@pytest.fixture
def hop() -> Iterator[Hops]:
    """For each test services of its own: what is believed of a process depends on what it has done."""
    with Hops() as hops:
        yield hops


def _starting(hop: Hops, how: str, number: int = 0) -> Server:
    if how == "in C":
        return hop(f"c-{number}", [c_program(TRACES / "starting_hop.c")])
    return hop(f"{how}-{number}", [sys.executable, TRACES / "starting_hop.py", how])


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("how", ["each", "nested", "in C", "pool", "mixed", "late", "turned"])
def test_by_itself_what_they_ask_has_no_parent(traced: Traced, hop: Hops, how: str, at_once: int) -> None:
    """Whatever threads a program starts, and whatever it turns to later: none is wrong."""
    one, two = hop("threaded-0"), _starting(hop, how)
    last, other = hop("threaded-1"), hop("threaded-2")
    drive(two.port, [f"/walk/0/{last.port}"] * 17)
    new = "" if how == "in C" else "c"
    verdict = judged(traced, one, f"{two.port}/{last.port}+{other.port}{new}", 8, at_once)
    assert sum(verdict.orphans.values()) == 2 * REQUESTS, str(verdict)
    assert all(kind.startswith("starting_hop") for kind in verdict.orphans), str(verdict)


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("how", ["each", "nested", "in C"])
def test_threads_of_one_request(following: Traced, hop: Hops, how: str, at_once: int) -> None:
    """They are believed once so many have ended."""
    one, two = (_starting(hop, how, number) for number in range(2))
    last, other = hop("threaded-0"), hop("threaded-1")
    for server in (one, two):
        drive(server.port, [f"/walk/0/{last.port}"] * 17)
    check(following, one, f"{two.port}/{last.port}", 6, at_once)
    check(following, one, f"{two.port}+{last.port}+{other.port}", 8, at_once)


def test_before_so_many_have_ended_they_have_no_parent(following: Traced, hop: Hops) -> None:
    one, two, last = hop("threaded-0"), _starting(hop, "each"), hop("threaded-1")
    verdict = judged(following, one, f"{two.port}/{last.port}", 6, 1)
    assert verdict.orphans == {"starting_hop client": 16}, str(verdict)


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("how", ["pool", "mixed", "late"])
def test_threads_that_serve_others_too_are_not_believed(
    following: Traced, hop: Hops, how: str, at_once: int
) -> None:
    one, two = hop("threaded-0"), _starting(hop, how)
    last, other = hop("threaded-1"), hop("threaded-2")
    verdict = judged(following, one, f"{two.port}/{last.port}+{other.port}c", 8, at_once)
    assert verdict.orphans == {"starting_hop client": 2 * REQUESTS}, str(verdict)


@pytest.mark.parametrize("at_once", [1, 10, 50])
def test_a_program_that_turns_to_a_pool(following: Traced, hop: Hops, at_once: int) -> None:
    """It was believed by then: the first that the pool's threads ask may be told wrong."""
    one, two = hop("threaded-0"), _starting(hop, "turned")
    last, other = hop("threaded-1"), hop("threaded-2")
    verdict = judged(following, one, f"{two.port}/{last.port}+{other.port}c", 8, at_once, wrong=20)
    assert verdict.missing["starting_hop client"] > REQUESTS, str(verdict)
