"""Requests are followed through runtimes that switch between them: what is asked has the right parent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.go_programs import NEWEST, OLDEST, PREVIOUS, Build, build
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judge_amid_traffic, judged
from integration.harness.limits import wait_until
from integration.harness.servers import Server
from integration.harness.tls_exotic import HTTP1

OTHERS = [Build(NEWEST, False), Build(PREVIOUS, False), Build(OLDEST, True)]

# Where a runtime's task is asked for is the same on every rung.
pytestmark = pytest.mark.one_rung


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


def _go(hop: Hops, number: int, how: Build) -> Server:
    return hop(f"go-{number}-{how}", [build(TRACES / "go_hop", how)])


def _is_followed(traced: Traced, how: Build) -> bool:
    """Say whether the program's file has probes: it is looked into when the first process of it starts."""
    path = str(build(TRACES / "go_hop", how))
    return any(one["path"] == path for one in traced.agent.status()["runtimes"]["followed"])


@pytest.mark.parametrize(
    ("how", "at_once"),
    [*((Build(NEWEST, True), number) for number in (1, 10, 50, 100)), *((how, 50) for how in OTHERS)],
    ids=str,
)
def test_go_net_http(traced: Traced, hop: Hops, how: Build, at_once: int) -> None:
    """Connections from a pool, and new ones; three goroutines' at once."""
    one, two, last, other = _go(hop, 0, how), _go(hop, 1, how), hop("threaded-0"), hop("threaded-1")
    assert wait_until(lambda: _is_followed(traced, how))
    check(traced, one, f"{two.port}/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}c/{last.port}c", 6, at_once)
    check(traced, one, f"{two.port}+{last.port}c+{other.port}", 8, at_once)


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("how", [Build(NEWEST, True), Build(OLDEST, False)], ids=str)
def test_go_over_tls(traced: Traced, hop: Hops, how: Build, at_once: int) -> None:
    made = certificates()
    words = [build(TRACES / "go_hop", how), made.certificate, made.key]
    one, two = (hop(f"tls-{how}-{number}", words, {**made.environment, **HTTP1}) for number in range(2))
    first, last = hop("go-first", words[:1], {**made.environment, **HTTP1}), hop("threaded-0")
    check(traced, first, f"{one.port}s/{two.port}s/{last.port}", 8, at_once)


@pytest.mark.parametrize("name", ["go", "threaded"])
def test_an_agent_that_starts_amid_traffic_tells_nothing_wrong(
    rung: str, start_agent: Callable[..., Traced], hop: Hops, name: str
) -> None:
    """Connections, goroutines and requests are older than it is: some have no parent, and soon all have."""
    how = Build(NEWEST, True)
    one, two = (_go(hop, number, how) if name == "go" else hop(f"threaded-{number}") for number in range(2))
    judge_amid_traffic(rung, start_agent, [one, two, hop("threaded-9")], "c", 10)


@pytest.mark.parametrize("at_once", [1, 10, 50])
def test_what_a_goroutine_asks_after_the_answer_has_no_parent(
    traced: Traced, hop: Hops, at_once: int
) -> None:
    """Though the request on whose behalf it was made may have been followed by another on that connection."""
    program = build(TRACES / "go_hop", Build(NEWEST, False))
    one, two, last = hop("threaded-0"), hop("late", [program, "late"]), hop("threaded-1")
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, at_once)
    assert verdict.orphans == {"go_hop client": REQUESTS}, str(verdict)
