"""Requests are followed through Ruby's servers: what a thread asks is the child of what it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judge_amid_traffic, judged
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.servers import Server

# The probes are the same on every rung.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50]
OWN = {
    "webrick": ["ruby", TRACES / "webrick_hop.rb"],
    "puma": ["ruby", TRACES / "puma_hop.rb", "5"],
    "roomy": ["ruby", TRACES / "puma_hop.rb", "60"],
}
RACK = {
    "cluster": ["puma", "--preload", "-w2", "-t8:8", "-enone", TRACES / "hop.ru", "-p"],
    "rackup": ["rackup", "-q", "-swebrick", "-Enone", "-o127.0.0.1", TRACES / "hop.ru", "-p"],
}
"""With another application, by the commands that come with them."""
SERVERS = {**OWN, **RACK}


@pytest.fixture
def hop() -> Iterator[Hops]:
    """For each test programs of its own: what a thread was seen to do stays with it."""
    with Hops() as hops:
        yield hops


def _ruby(hop: Hops, name: str, environment: dict[str, str] | None = None) -> Server:
    server = hop(name, SERVERS[name.partition("-")[0]], environment)
    drive(server.port, ["/walk/0"] * 8)
    return server


def _looked_at(traced: Traced) -> int:
    """Return how many of Ruby's processes the agent has found: before that it knows no environment."""
    followed = traced.agent.status()["runtimes"]["followed"]
    return sum(one["processes"] for one in followed if one["runtime"] == "ruby")


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", OWN)
def test_chains(traced: Traced, hop: Hops, name: str, at_once: int) -> None:
    """Of connections that are kept, and of new ones."""
    one, two = (_ruby(hop, f"{name}-{number}") for number in range(2))
    last, other = hop("threaded-1"), hop("threaded-2")
    check(traced, one, f"{two.port}/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}c/{last.port}c+{other.port}", 8, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("name", RACK)
def test_a_pool_of_connections_that_all_threads_share(
    traced: Traced, hop: Hops, name: str, at_once: int
) -> None:
    one, two = hop("threaded-0"), _ruby(hop, name)
    last, other = hop("threaded-1"), hop("threaded-2")
    check(traced, one, f"{two.port}/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}c/{last.port}+{other.port}", 8, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE[1:])
@pytest.mark.parametrize("name", ["webrick", "roomy", "cluster"])
def test_heads_that_come_in_pieces(traced: Traced, hop: Hops, name: str, at_once: int) -> None:
    """Puma's reactor reads the rest, and hands the request to any of its threads."""
    one, last = _ruby(hop, name), hop("threaded-0")
    check(traced, one, f"{last.port}", 4, at_once, 0, "", 0.02)
    check(traced, one, f"{last.port}", 4, at_once, 3000, "", 0.005)


@pytest.mark.parametrize("at_once", AT_ONCE[1:])
@pytest.mark.parametrize("how", ["t", "b", "a"], ids=["made for it", "not waited for", "after the answer"])
@pytest.mark.parametrize("name", OWN)
def test_threads_of_their_own_and_late_ones_have_no_parent(
    traced: Traced, hop: Hops, name: str, how: str, at_once: int
) -> None:
    """Ruby has its threads run by those of the kernel's that others have left."""
    one, two = hop("threaded-0"), _ruby(hop, name)
    last, other = hop("threaded-1"), hop("threaded-2")
    verdict = judged(traced, one, f"{two.port}/{last.port}{how}+{other.port}", 8, at_once)
    assert sum(verdict.orphans.values()) == REQUESTS, str(verdict)


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("words", [[], ["named"]], ids=["as it is", "in WEBrick's way"])
def test_fibers_are_not_taken_for_threads(traced: Traced, hop: Hops, words: list[str], at_once: int) -> None:
    one, two = hop("threaded-0"), hop("fibers", ["ruby", TRACES / "fibers_hop.rb", *words])
    last, other = hop("threaded-1"), hop("threaded-2")
    drive(two.port, ["/walk/0"] * 8)
    verdict = judged(traced, one, f"{two.port}/{last.port}c+{other.port}c", 8, at_once)
    print(f"\n{words} {at_once}: {verdict}")
    if not words:
        assert sum(verdict.orphans.values()) == 2 * REQUESTS, str(verdict)


def test_threads_that_are_not_the_kernels_are_left_alone(traced: Traced, hop: Hops) -> None:
    """From 3.3 on; earlier ones do not know the variable."""
    one, last = hop("threaded-0"), hop("threaded-1")
    before = _looked_at(traced)
    two = _ruby(hop, "puma", {"RUBY_MN_THREADS": "1"})
    assert wait_until(lambda: _looked_at(traced) > before)
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, 10)
    assert sum(verdict.orphans.values()) == REQUESTS, str(verdict)


@pytest.mark.parametrize("name", ["webrick", "puma"])
def test_an_agent_that_starts_amid_traffic_tells_nothing_wrong(
    rung: str, start_agent: Callable[..., Traced], hop: Hops, name: str
) -> None:
    """Requests and connections are older than it is."""
    judge_amid_traffic(rung, start_agent, [hop("threaded-0"), _ruby(hop, name), hop("threaded-1")], "", 4)
