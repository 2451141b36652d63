"""The ledger against an independent count: what was asked is what the columns add up to, exactly."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from typing import TypeVar

import pytest

from integration.conftest import Traced
from integration.harness.books import KERNEL_OUTCOMES, imbalances, settled, since, total
from integration.harness.build import CLIENTS
from integration.harness.limits import PATIENCE, SLACK, slack, wait_until
from integration.harness.measured import drive
from integration.harness.servers import Server, nginx, threaded
from integration.harness.spans import CLIENT, SERVER

T = TypeVar("T")
StartAgent = Callable[..., Traced]

_PIPELINED = ("-c2", "-s", str(CLIENTS / "pipeline.lua"))

REQUESTS = 4000 if SLACK < 5 else 400


def _only(server: Server, **capture: int) -> dict[str, object]:
    return {"discovery": {"include": [{"ports": [server.port]}]}, "capture": capture}


def _ab(server: Server, requests: int, connections: int = 8, *options: str) -> int:
    """Make exactly so many requests; return how many ab says it completed."""
    url = f"http://127.0.0.1:{server.port}/1k.bin"
    command = ["ab", "-q", "-r", "-n", str(requests), "-c", str(connections), *options, url]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL
    )
    found = re.search(r"Complete requests:\s+(\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1])


def _without_strangers(once: Callable[[], T], is_exact: Callable[[T], bool]) -> T:
    """Repeat a measurement that other programs on this host disturbed, and return the last one.

    A process is captured until the agent has decided on it, and while the reader is stopped or behind
    it decides nothing: a stranger's exchanges are then in the books too. A wrong count is wrong again.
    """
    for _ in range(3):
        made = once()
        if is_exact(made):
            break
    return made


def _books(traced: Traced) -> dict[str, int]:
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)
    return ledger


@pytest.mark.fast
@pytest.mark.guest
@pytest.mark.parametrize("options", [["-k"], []], ids=["kept", "closed"])
def test_every_request_is_in_the_books(rung: str, start_agent: StartAgent, options: list[str]) -> None:
    """Nothing is lost at this rate, so each request is one call, one span, and one count, on each side."""
    with nginx() as server:
        traced = start_agent(rung, config=_only(server), environment={"OTEL_BSP_MAX_QUEUE_SIZE": "65536"})
        before = traced.agent.ledger()
        assert _ab(server, REQUESTS, 4, *options) == REQUESTS
        connects = 4 if options else REQUESTS  # spans of their own
        due = before["export_seen"] + 2 * REQUESTS + connects
        wait_until(lambda: traced.agent.ledger()["export_passed"] >= due, every=0.2)
        books = since(before, _books(traced))
        assert books["signal_seen"] == 2 * REQUESTS, books
        assert books["signal_aggregated"] == books["signal_span"] == 2 * REQUESTS, books
        assert books["exchange_ring_full"] == books["piece_ring_full"] == 0
        assert books["signal_connect_span"] == connects, books
        assert books["export_passed"] == 2 * REQUESTS + connects, books
        for kind in (SERVER, CLIENT):
            assert len(traced.backend.spans(server.port, kind)) == REQUESTS


def test_overload_with_a_paused_reader(rung: str, start_agent: StartAgent) -> None:
    """A ring that is far too small, and a reader that does not read: the loss is counted to the one."""
    with nginx() as server:
        traced = start_agent(rung, config=_only(server, ring_bytes=65536))

        def once() -> dict[str, int]:
            before = traced.agent.ledger()
            traced.agent.signal(signal.SIGSTOP)
            try:
                assert _ab(server, REQUESTS, 8, "-k") == REQUESTS
            finally:
                traced.agent.signal(signal.SIGCONT)
            return since(before, _books(traced))

        books = _without_strangers(once, lambda books: books["exchange_seen"] == 2 * REQUESTS)
        assert books["exchange_seen"] == 2 * REQUESTS, books
        assert total(books, KERNEL_OUTCOMES) == 2 * REQUESTS, books
        assert books["exchange_ring_full"] > REQUESTS, books
        assert books["exchange_passed"] > 0
        assert books["reader_exchange"] == books["exchange_passed"]
        ledger = traced.agent.ledger()
        due = ledger["export_passed"] - ledger["signal_connect_span"]
        spans = traced.backend.expect(due, port=server.port)
        assert {span.status for span in spans} == {200}


def test_overload_of_a_running_reader(rung: str, start_agent: StartAgent) -> None:
    """wrk as fast as it goes against the smallest ring: some pass, some do not, none is forgotten."""
    with nginx() as server:
        traced = start_agent(rung, config=_only(server, ring_bytes=4096))

        def once() -> tuple[int, dict[str, int]]:
            before = traced.agent.ledger()
            return _wrk(server), since(before, _books(traced))

        def exact(run: tuple[int, dict[str, int]]) -> bool:
            return 2 * run[0] <= run[1]["exchange_seen"] <= 2 * run[0] + 2 * 16

        answered, books = _without_strangers(once, exact)
        assert books["exchange_ring_full"] > 0, "the load was too small to say anything"
        assert exact((answered, books)), (answered, books)


def test_pipelining_sixteen_deep(rung: str, start_agent: StartAgent) -> None:
    """wrk with 16 requests in each send: the calls paired from pieces are those that were answered."""
    with threaded() as server:
        traced = start_agent(rung, config=_only(server), environment={"OTEL_BSP_MAX_QUEUE_SIZE": "65536"})
        answered = _wrk(server, *_PIPELINED, pace=20)
        books = _books(traced)
        assert books["piece_ring_full"] == books["exchange_ring_full"] == 0
        unread = books["protocol_stream_unparsed"]
        calls = books["signal_seen"]
        assert answered > 100, "the load was too small to say anything"
        assert 2 * answered <= calls + unread <= 2 * answered + 2 * 2 * 16, (answered, books)
        assert unread <= 2 * 2 * 16, "only what wrk left in flight may lack a partner"


def test_pipelining_as_fast_as_it_goes(rung: str, start_agent: StartAgent) -> None:
    """Where pieces are lost calls cannot all be paired, and never is there one that was not made."""
    with nginx() as server:
        traced = start_agent(rung, config=_only(server, ring_bytes=65536))
        answered = _wrk(server, *_PIPELINED)
        books = _books(traced)
        assert books["piece_ring_full"] > 0, "the load was too small to say anything"
        assert 0 < books["signal_seen"] <= 2 * answered + 2 * 2 * 16, (answered, books)


def _wrk(server: Server, *options: str, pace: int = 0) -> int:
    url = f"http://127.0.0.1:{server.port}/1k.bin"
    command = ["wrk", "-t1", "-c16", "-d1s", *options, url, *(["--", str(pace)] if pace else [])]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL
    )
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found, done.stdout
    return int(found[1])


def test_every_reading_of_the_books_adds_up_at_rest(rung: str, start_agent: StartAgent) -> None:
    """After each of a series of small bursts, not only at the end."""
    with threaded() as server:
        traced = start_agent(rung, config=_only(server))
        before = traced.agent.ledger()
        for burst in range(1, 4):
            drive(server.port, ["/json"] * 5)
            assert since(before, _books(traced))["signal_seen"] == 2 * 5 * burst
