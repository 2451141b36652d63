"""One request goes by services in every runtime that is followed, in a chain and fanned out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from integration.conftest import Traced
from integration.harness.build import java_class
from integration.harness.go_programs import NEWEST, Build, build
from integration.harness.hops import TRACES, Hops, check
from integration.harness.limits import PATIENCE, slack
from integration.harness.measured import new_mark
from integration.harness.proxies import PROXIES
from integration.harness.servers import Server
from integration.harness.spans import SeenSpan
from integration.harness.traces import judge

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


def _number(span: SeenSpan) -> int:
    return int(span.target.partition("?")[0].split("/")[2])


@pytest.mark.parametrize("visitor", ["curl", "wrk"])
def test_visitors_that_others_wrote(traced: Traced, hop: Hops, visitor: str) -> None:
    """curl, one request after the other, and wrk, eight at once until its time is over."""
    ports = [str(server.port) for server in [*_by_runtime(hop, 0), hop("threaded-1")]]
    mark, path, at_once = new_mark(), "/".join(["x", *ports]), 8
    with PROXIES["nginx"](hop("threaded-0").port, 1) as proxy:
        url = f"http://127.0.0.1:{proxy['kept'].port}"
        by_wrk = [
            "wrk",
            "-t1",
            f"-c{at_once}",
            "-d2s",
            "-s",
            str(TRACES / "numbered.lua"),
            url,
            "--",
            path,
            mark,
        ]
        by_curl = ["curl", "-sS", "--fail", f"{url}/walk/[0-49]/{path}?n={mark}"]
        words = by_curl if visitor == "curl" else by_wrk
        done = subprocess.run(
            words, check=True, timeout=slack(PATIENCE), capture_output=True, stdin=subprocess.DEVNULL
        )
        assert b"Non-2xx" not in done.stdout
        seen = traced.backend.settled(mark)
    last = max(map(_number, seen))
    # wrk goes away amid the last of them.
    whole = [span for span in seen if visitor == "curl" or _number(span) < last - 2 * at_once]
    requests = {_number(span) for span in whole}
    assert len(requests) >= 20, len(requests)
    assert len(whole) == len(requests) * (4 + 2 * len(ports))
    verdict = judge(whole, visitor)
    assert not verdict.wrong, str(verdict)
    assert set(verdict.missing) <= {UNKNOWN}, str(verdict)
