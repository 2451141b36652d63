"""One request goes by services in every runtime that is followed, in a chain and fanned out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.build import java_class
from integration.harness.go_programs import NEWEST, Build, build
from integration.harness.hops import TRACES, Hops, check, judged
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.proxies import PROXIES
from integration.harness.servers import Server
from integration.harness.spans import SeenSpan
from integration.harness.traces import judge

# Each runtime's own tests say on which rungs.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50, 100]
UNKNOWN = "JavaHop client"
"""What a JVM asks has no parent before it is believed, and where several requests are open."""

FOLLOWED = {
    "nginx client": "nginx",
    "node_hop client": "node",
    "go_hop client": "go_hop",
    "asyncio_hop client": "python",
}
"""By kind of span what is in the path of the file that has its probes."""


def _followed(traced: Traced) -> set[str]:
    runtimes = traced.agent.status()["runtimes"]
    paths = [one["path"] for one in [*runtimes["followed"], *runtimes["given_up"]]]
    return {kind for kind, name in FOLLOWED.items() if any(name in path for path in paths)}


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


def test_a_chain_with_nothing_configured(rung: str, start_agent: Callable[..., Traced], hop: Hops) -> None:
    """Whom to observe alone is said. Missing are what docs/traces.md names: a JVM's, Node's behind an await.

    Programs whose probes cost too much of this host, by `traces.runtime_percent`, are let go.
    """
    first, last, services = hop("threaded-0"), hop("threaded-1"), _by_runtime(hop, 0)
    ports = [str(server.port) for server in [*services, last]]
    with PROXIES["nginx"](first.port, 1) as proxy:
        observed = [*services, first, last, proxy["kept"]]
        include = [{"ports": [server.port for server in observed]}]
        traced = start_agent(rung, config={"discovery": {"include": include}})
        for server in observed:
            drive(server.port, [f"/walk/0/{last.port}"] * 4)
        assert wait_until(lambda: len(_followed(traced)) == len(FOLLOWED)), _followed(traced)
        verdict = judged(traced, proxy["kept"], "/".join(["x", *ports]), 4 + 2 * len(ports), 10)
    costly = {one["path"] for one in traced.agent.status()["runtimes"]["given_up"]}
    let_go = {kind for kind, name in FOLLOWED.items() if any(name in path for path in costly)}
    allowed = {UNKNOWN, "node_hop client"} | let_go
    assert set(verdict.missing) <= allowed, f"{verdict}, given up {costly}"


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
