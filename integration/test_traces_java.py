"""Requests are followed through a JVM where exactly one is open: what it asks then is that one's child."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.request import urlopen

import pytest

from integration.conftest import Traced
from integration.harness.build import java_class
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judge_amid_traffic, judged
from integration.harness.servers import Server

QUIET_TIMES = 16
"""As in bpf/core/serving_process.h."""
LONGER_THAN_QUIET = 0.13  # s

# What is counted is the same on every rung.
pytestmark = pytest.mark.one_rung


@pytest.fixture
def hop() -> Iterator[Hops]:
    """Programs of each test's own: they are believed or not by what they have done before."""
    with Hops() as hops:
        yield hops


def _java(hop: Hops, name: str, *words: str) -> Server:
    return hop(name, [*java_class(TRACES / f"{name.partition('-')[0]}.java"), *words])


def _believed(one: Server, hops: str) -> None:
    """Ask a JVM as often as it takes, and leave it alone each time: nothing else happens then."""
    for _ in range(QUIET_TIMES + 2):
        with urlopen(f"http://127.0.0.1:{one.port}/walk/0/{hops}?n=quiet", timeout=10) as answer:
            answer.read()
        time.sleep(LONGER_THAN_QUIET)


@pytest.mark.parametrize("how", ["", "u"], ids=["HttpClient", "HttpURLConnection"])
@pytest.mark.parametrize("name", ["JavaHop", "JavaLoopHop"])
def test_one_request_at_a_time(traced: Traced, hop: Hops, name: str, how: str) -> None:
    """None is missing: the threads that ask have received nothing, and exactly one request is open."""
    one, two = hop("threaded-0"), _java(hop, name)
    last, other = hop("threaded-1"), hop("threaded-2")
    hops = f"{last.port}{how}+{other.port}{how}"
    _believed(two, hops)
    check(traced, one, f"{two.port}/{hops}", 8, 1)


@pytest.mark.parametrize("at_once", [10, 50])
@pytest.mark.parametrize("how", ["", "u"], ids=["HttpClient", "HttpURLConnection"])
@pytest.mark.parametrize("name", ["JavaHop", "JavaLoopHop"])
def test_several_requests_at_once(traced: Traced, hop: Hops, name: str, how: str, at_once: int) -> None:
    """None is wrong, and none missing where a thread that waits asks; docs/traces.md has the rest's."""
    one, two, last = hop("threaded-0"), _java(hop, name), hop("threaded-1")
    _believed(two, f"{last.port}{how}")
    verdict = judged(traced, one, f"{two.port}/{last.port}{how}", 6, at_once)
    print(f"\n{name} {how} {at_once}: {verdict.missing}")
    assert not [kind for kind in verdict.missing if not kind.endswith("Hop client")], str(verdict)
    assert verdict.orphans[f"{name} client"] == 0 or (name, how) != ("JavaHop", "u"), str(verdict)


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("name", ["JavaLoopHop", "JavaDelayedHop"])
def test_what_is_asked_after_the_answer_has_no_parent(
    traced: Traced, hop: Hops, name: str, at_once: int
) -> None:
    """By threads that serve nobody, at once or up to a second later, when other requests may be alone."""
    words = ["late"] if name == "JavaLoopHop" else []
    one, two, last = hop("threaded-0"), _java(hop, name, *words), hop("threaded-1")
    _believed(two, str(last.port))
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, at_once)
    assert verdict.orphans == {f"{name} client": REQUESTS}, str(verdict)


def _client_hello() -> bytes:
    sent = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="a.test")
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return sent.read()


def _say(port: int, words: bytes) -> None:
    """Say something, give the server the time to read it, and close."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(words)
        time.sleep(LONGER_THAN_QUIET)


COUNTED: dict[str, bytes] = {
    "a request": b"GET /walk/0/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": _client_hello(),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)),
    "no HTTP": b"\x00\x01 what is this",
    "an upgrade": b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n",
}


@pytest.mark.parametrize("said", COUNTED)
def test_a_jvm_that_serves_what_cannot_be_counted_is_believed_no_longer(
    traced: Traced, hop: Hops, said: str
) -> None:
    """For good: its workers' questions have no parent. They have, where it was a request as any other."""
    one, two, last = hop("threaded-0"), _java(hop, "JavaLoopHop"), hop("threaded-1")
    _believed(two, str(last.port))
    _say(two.port, COUNTED[said])
    _believed(two, str(last.port))
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, 1)
    assert verdict.orphans == ({} if said == "a request" else {"JavaLoopHop client": REQUESTS}), str(verdict)


def test_a_client_that_goes_away_makes_a_jvm_earn_belief_anew(traced: Traced, hop: Hops) -> None:
    one, two, last = hop("threaded-0"), _java(hop, "JavaLoopHop"), hop("threaded-1")
    path = f"{two.port}/{last.port}"
    _believed(two, str(last.port))
    _say(two.port, b"GET /walk/0/")
    verdict = judged(traced, one, path, 6, 1)
    assert verdict.orphans == {"JavaLoopHop client": REQUESTS}, str(verdict)
    _believed(two, str(last.port))
    assert not judged(traced, one, path, 6, 1).orphans


@pytest.mark.parametrize("name", ["JavaHop", "JavaLoopHop"])
def test_an_agent_that_starts_amid_traffic_tells_nothing_wrong(
    rung: str, start_agent: Callable[..., Traced], hop: Hops, name: str
) -> None:
    """Requests and connections are older than it is."""
    judge_amid_traffic(rung, start_agent, [hop("threaded-0"), _java(hop, name), hop("threaded-1")], "", 4)
