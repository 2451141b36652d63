"""One request goes by services in every runtime that is followed, in a chain and fanned out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.conftest import Traced
from integration.harness.build import java_class
from integration.harness.go_programs import NEWEST, Build, build
from integration.harness.hops import TRACES, Hops, check
from integration.harness.proxies import PROXIES
from integration.harness.servers import Server

# Each runtime's own tests say on which rungs.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50, 100]
UNKNOWN = "JavaHop client"
"""What a JVM asks has no parent before it is believed, and where several requests are open."""


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


def _by_runtime(hop: Hops, number: int) -> list[Server]:
    return [
        hop(f"node-{number}"),
        hop(f"go-{number}", [build(TRACES / "go_hop", Build(NEWEST, True))]),
        hop(f"asyncio-{number}"),
        hop(f"java-{number}", java_class(TRACES / "JavaHop.java")),
        hop(f"prefork-{number}"),
    ]


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_a_chain_through_all(traced: Traced, hop: Hops, at_once: int) -> None:
    """visitor, nginx, threads, Node, Go, asyncio, Java, forked workers, threads: 16 spans, in one line."""
    last = hop("threaded-1")
    ports = [str(server.port) for server in [*_by_runtime(hop, 0), last]]
    with PROXIES["nginx"](hop("threaded-0").port, 1) as proxy:
        check(traced, proxy["kept"], "/".join(["x", *ports]), 4 + 2 * len(ports), at_once, spared=UNKNOWN)


@pytest.mark.parametrize("first", ["node-0", "asyncio-0", "go-0", "prefork-0", "threaded-0"])
def test_one_that_asks_all(traced: Traced, hop: Hops, first: str) -> None:
    """Ten from one service that another asks, two of each kind: 24 spans."""
    fan = "+".join(str(server.port) for server in [*_by_runtime(hop, 1), *_by_runtime(hop, 2)])
    check(traced, hop("threaded-1"), f"{hop(first).port}/{fan}", 4 + 10 * 2, 10)
