"""Requests are followed through proxies: what one asks is the child of what it was asked for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judged, visitor
from integration.harness.limits import PATIENCE, slack
from integration.harness.measured import drive, new_mark
from integration.harness.proxies import PROXIES, Ways
from integration.harness.spans import CLIENT, SERVER, describe
from integration.harness.traces import judge

# Where a request is handed on is the same on every rung.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50, 100]
MANY = [50]


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


@pytest.fixture(scope="module")
def proxies(hop: Hops) -> Iterator[dict[tuple[str, int], Ways]]:
    """Each with one worker and with three: processes of nginx, threads of HAProxy."""
    with ExitStack() as stack:
        yield {
            (name, workers): stack.enter_context(PROXIES[name](hop("threaded-0").port, workers))
            for name in PROXIES
            for workers in (1, 3)
        }


@pytest.fixture(params=[("nginx", 1), ("haproxy", 3)], ids=lambda one: f"{one[0]}-{one[1]}")
def proxy(proxies: dict[tuple[str, int], Ways], request: pytest.FixtureRequest) -> Ways:
    return proxies[request.param]


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("way", ["kept", "new"])
def test_a_proxy_between_services(traced: Traced, hop: Hops, proxy: Ways, way: str, at_once: int) -> None:
    """With connections to the next server that are kept, and new ones."""
    check(traced, proxy[way], f"x/{hop('threaded-1').port}", 6, at_once)


@pytest.mark.parametrize("at_once", MANY)
@pytest.mark.parametrize("way", ["unix", "by_tls"])
def test_a_proxy_and_itself(traced: Traced, hop: Hops, proxy: Ways, way: str, at_once: int) -> None:
    """Twice through one worker, with a unix socket or TLS between."""
    check(traced, proxy[way], f"x/x/{hop('threaded-1').port}", 8, at_once)


@pytest.mark.parametrize("at_once", MANY)
def test_a_proxy_that_is_asked_over_tls(traced: Traced, hop: Hops, proxy: Ways, at_once: int) -> None:
    check(traced, proxy["tls"], f"x/{hop('threaded-1').port}", 6, at_once, 0, certificates().authority)


@pytest.mark.parametrize("length", [100, 1_000_000])
def test_requests_with_bodies(traced: Traced, hop: Hops, proxy: Ways, length: int) -> None:
    """In memory, in a file, and passed on as they come."""
    for way in proxy.keys() & {"kept", "new", "tries", "unbuffered", "buffered"}:
        spans = 8 if way == "tries" else 6
        check(traced, proxy[way], f"x/{hop('threaded-1').port}", spans, 10, length)


@pytest.mark.parametrize("at_once", MANY)
@pytest.mark.parametrize("way", ["tries", "guarded"])
@pytest.mark.parametrize("proxy", [("nginx", 3)], indirect=True, ids=["3"])
def test_what_nginx_asks_twice(traced: Traced, hop: Hops, proxy: Ways, way: str, at_once: int) -> None:
    """Of a server that fails and then of another; of one whether it may, and then of another."""
    check(traced, proxy[way], f"x/{hop('threaded-1').port}", 8, at_once)


@pytest.mark.parametrize("at_once", MANY)
@pytest.mark.parametrize("proxy", [("nginx", 3)], indirect=True, ids=["3"])
def test_what_nginx_mirrors(traced: Traced, hop: Hops, proxy: Ways, at_once: int) -> None:
    """It may be sent after the answer was: then it has no parent. Who answers it at once may be too early."""
    verdict = judged(traced, proxy["mirrored"], f"x/{hop('threaded-1').port}", 8, at_once)
    assert verdict.missing.keys() <= {"nginx client", "nginx server"}, str(verdict)


@pytest.mark.parametrize("at_once", [20])
@pytest.mark.parametrize("way", ["kept", "new"])
def test_requests_that_do_not_wait_for_answers(
    traced: Traced, hop: Hops, proxy: Ways, way: str, at_once: int
) -> None:
    """Which of them the proxy works on is not told: what it asks may have no parent, and no wrong one."""
    mark, hops = new_mark(), f"x/{hop('threaded-1').port}"
    words = [sys.executable, TRACES / "pipelining_visitor.py", proxy[way].port, hops, mark, REQUESTS, at_once]
    subprocess.run([str(word) for word in words], check=True, timeout=slack(PATIENCE))
    verdict = judge(traced.backend.expect(6 * REQUESTS, mark=mark), "pipelining_visitor")
    assert not verdict.wrong, str(verdict)


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_is_older_than_the_agent(
    start_agent: Callable[..., Traced], hop: Hops, proxies: dict[tuple[str, int], Ways], rung: str, name: str
) -> None:
    """Its connections to the next server are older too."""
    kept, hops = proxies[name, 1]["kept"], f"x/{hop('threaded-1').port}"
    subprocess.run(visitor(kept, hops, new_mark(), REQUESTS, 10), check=True, timeout=slack(PATIENCE))
    ports = [kept.port, hop("threaded-0").port, hop("threaded-1").port]
    traced = start_agent(rung, config={"discovery": {"include": [{"ports": ports}]}})
    check(traced, kept, hops, 6, 10)


@pytest.mark.parametrize("way", ["kept", "new", "unix"])
def test_a_traceparent_that_is_passed_on(traced: Traced, hop: Hops, proxy: Ways, way: str) -> None:
    """It says who made the request that the proxy got, and not that the proxy's own is that one's too."""
    trace, parent, mark = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", new_mark()
    hops, count = (
        (f"x/x/{hop('threaded-1').port}", 8) if way == "unix" else (f"x/{hop('threaded-1').port}", 6)
    )
    paths = [f"/walk/{number}/{hops}" for number in range(10)]
    drive(proxy[way].port, paths, mark=mark, headers={"traceparent": f"00-{trace}-{parent}-01"})
    seen = traced.backend.expect(count * len(paths), mark=mark)
    assert {span.trace_id for span in seen} == {trace}
    told = Counter((span.service, span.kind) for span in seen if span.parent_id == parent)
    assert told == {("pytest", CLIENT): len(paths), (proxy[way].service, SERVER): len(paths)}, describe(seen)
    verdict = judge(seen, "pytest")
    others = {"pytest client": len(paths), f"{proxy[way].service} server": len(paths)}
    assert (verdict.missing, verdict.wrong) == ({}, others), str(verdict)
