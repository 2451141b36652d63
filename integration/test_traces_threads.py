"""Threads that a thread starts while it serves a request: what they ask is its child, or has no parent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.build import c_program
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judged
from integration.harness.measured import drive
from integration.harness.servers import Server

pytestmark = pytest.mark.one_rung


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
@pytest.mark.parametrize("how", ["each", "nested", "in C"])
def test_threads_of_one_request(traced: Traced, hop: Hops, how: str, at_once: int) -> None:
    """They are believed once so many have ended."""
    one, two = (_starting(hop, how, number) for number in range(2))
    last, other = hop("threaded-0"), hop("threaded-1")
    for server in (one, two):
        drive(server.port, [f"/walk/0/{last.port}"] * 17)
    check(traced, one, f"{two.port}/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}+{last.port}+{other.port}", 8, at_once)


def test_before_so_many_have_ended_they_have_no_parent(traced: Traced, hop: Hops) -> None:
    one, two, last = hop("threaded-0"), _starting(hop, "each"), hop("threaded-1")
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, 1)
    assert verdict.orphans == {"starting_hop client": 16}, str(verdict)


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("how", ["pool", "mixed", "late"])
def test_threads_that_serve_others_too_are_not_believed(
    traced: Traced, hop: Hops, how: str, at_once: int
) -> None:
    one, two = hop("threaded-0"), _starting(hop, how)
    last, other = hop("threaded-1"), hop("threaded-2")
    verdict = judged(traced, one, f"{two.port}/{last.port}+{other.port}c", 8, at_once)
    assert verdict.orphans == {"starting_hop client": 2 * REQUESTS}, str(verdict)


@pytest.mark.parametrize("at_once", [1, 10, 50])
def test_a_program_that_turns_to_a_pool(traced: Traced, hop: Hops, at_once: int) -> None:
    """It was believed by then: the first that the pool's threads ask may be told wrong."""
    one, two = hop("threaded-0"), _starting(hop, "turned")
    last, other = hop("threaded-1"), hop("threaded-2")
    verdict = judged(traced, one, f"{two.port}/{last.port}+{other.port}c", 8, at_once, wrong=20)
    assert verdict.missing["starting_hop client"] > REQUESTS, str(verdict)


def test_threads_are_left_alone_where_that_is_asked_for(
    rung: str, start_agent: Callable[..., Traced], hop: Hops
) -> None:
    one, two, last = hop("threaded-0"), _starting(hop, "each"), hop("threaded-1")
    include = [{"ports": [server.port for server in (one, two, last)]}]
    traced = start_agent(
        rung, config={"discovery": {"include": include}, "traces": {"started_threads": False}}
    )
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, 1)
    assert verdict.orphans == {"starting_hop client": REQUESTS}, str(verdict)
