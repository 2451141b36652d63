"""Each reason for which something is not reported, provoked: without its increment a test here fails."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from integration.harness.books import imbalances, settled
from integration.harness.build import PROGRAMS
from integration.harness.conversation import Conversation, converse, step
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import drive
from integration.harness.odd_cases import LONG_HEAD, OK, PIPELINING, get
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, only, paused, reaches
from integration.harness.servers import nginx, threaded

HEAD_END = ["until", "\r\n\r\n"]
HELLO = ["until", "hello"]


def _lines(count: int, gap: float = 0.0) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return a line protocol that is not HTTP, in turns: client and server."""
    client, server = [], []
    for number in range(count):
        client += [["send", f"ask {number}\n"], ["until", f"told {number}\n"], step("sleep", gap)]
        server += [["until", f"ask {number}\n"], ["send", f"told {number}\n"]]
    return client, [*server, ["eof"]]


def test_connection_in_stream_mode(rung: str, start_agent: StartAgent) -> None:
    """exchange_streamed, piece_seen: pipelining turns the connection over, on both ends."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    case = PIPELINING["three_in_one_send"]
    converse(case.client, case.server, server_options={"port": port})
    reaches(traced, "signal_seen", 6)
    ledger = settled(traced.agent.ledger)
    assert ledger["exchange_streamed"] >= 2, ledger
    assert ledger["piece_seen"] > 0, ledger
    assert not imbalances(ledger), imbalances(ledger)


def test_unknown_protocol(rung: str, start_agent: StartAgent) -> None:
    """protocol_unknown at first, then event_ignored: the kernel has been told to stop."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    client, server = _lines(30, gap=0.05)
    first, rest = client[:12], client[12:]
    with Conversation([*first, ["wait"], *rest], server, server_options={"port": port}) as conversation:
        reaches(traced, "protocol_unknown", 2)
        conversation.client.release()
        conversation.finish()
    reaches(traced, "event_ignored", 20)
    ledger = settled(traced.agent.ledger)
    assert ledger["protocol_unknown"] < 40, "within a few exchanges the kernel must be told"
    assert ledger["signal_seen"] == 0
    assert not imbalances(ledger), imbalances(ledger)


def test_protocol_that_is_known_and_not_read(rung: str, start_agent: StartAgent) -> None:
    """protocol_unsupported or its twin for pieces: HTTP/2 with prior knowledge."""
    with nginx() as server:
        traced = start_agent(rung, config=only(server.http2))
        url = f"http://127.0.0.1:{server.http2}/1k.bin"
        # A process for each: curl 7.88 cannot use such a connection twice.
        command = ["curl", "-s", "--http2-prior-knowledge", "-o", "/dev/null", url]
        for _ in range(2):
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

        def counted() -> int:
            ledger = traced.agent.ledger()
            return ledger["protocol_unsupported"] + ledger["protocol_stream_unsupported"]

        assert wait_until(lambda: counted() > 0)
        ledger = settled(traced.agent.ledger)
        assert ledger["signal_seen"] == ledger["protocol_unknown"] == 0, ledger
        assert not imbalances(ledger), imbalances(ledger)


@pytest.mark.parametrize("excluded", ["ports", "pids"])
def test_excluded_traffic(rung: str, start_agent: StartAgent, excluded: str) -> None:
    """event_discovery: a port that no rule includes, and processes that none does."""
    with threaded() as server:
        rules = {"ports": [free_port()]} if excluded == "ports" else {"pids": [1]}
        traced = start_agent(rung, config={"discovery": {"include": [rules]}})

        def counted() -> int:
            before = traced.agent.ledger()["event_discovery"]
            drive(server.port, ["/json"] * 500)
            return traced.agent.ledger()["event_discovery"] - before

        # The first time some pass before it is decided.
        assert wait_until(lambda: counted() >= 4 * 500 - 100)
        assert traced.agent.ledger()["signal_seen"] == 0


def test_excluded_processes_that_share_a_slot(rung: str, start_agent: StartAgent) -> None:
    """event_discovery: the first call of each turn of theirs has to be looked up, the second has not."""
    rounds = 1000
    traced = start_agent(rung, config={"discovery": {"include": [{"pids": [1]}]}})
    command = [sys.executable, PROGRAMS / "excluded_pair.py", str(rounds)]

    def counted() -> int:
        before = traced.agent.ledger()["event_discovery"]
        subprocess.run(command, check=True, timeout=slack(PATIENCE))
        # Asked once: asking is such traffic itself, as is a stranger's, who hides no half of what is due.
        return traced.agent.ledger()["event_discovery"] - before

    # Again, with others, if the decision took longer than they wait for it.
    assert wait_until(lambda: counted() >= 2 * 2 * rounds)


def test_more_connections_than_the_map_holds(rung: str, start_agent: StartAgent) -> None:
    """event_connections_full: 200 connections at once, room for 64 ends."""
    port = free_port()
    traced = start_agent(rung, config={**only(port), "capture": {"connections": 64}})
    many = {"connections": 200}
    with Conversation(
        [["wait"], ["send", get("/full")], ["until", "hello"], ["wait"]],
        [HEAD_END, ["send", OK], ["eof"]],
        client_options=many,
        server_options={**many, "port": port},
    ) as conversation:
        conversation.client.wait_waiting(200)
        conversation.client.release()
        conversation.finish()
    reaches(traced, "event_connections_full", 1)
    ledger = settled(traced.agent.ledger)
    assert 0 < ledger["signal_seen"] < 400, ledger
    assert not imbalances(ledger), imbalances(ledger)


def test_ring_without_room_for_pieces(rung: str, start_agent: StartAgent) -> None:
    """piece_ring_full: a connection in stream mode while nobody reads."""
    port = free_port()
    traced = start_agent(rung, config={**only(port), "capture": {"ring_bytes": 16384}})
    case = PIPELINING["three_in_one_send"]
    warm = [one for one in case.client if one != ["close"]]
    flood_out, flood_back = [["send", get("/p") * 3]] * 60, [HEAD_END] * 180 + [["send", OK * 180]]
    with Conversation(
        [*warm, ["wait"], *flood_out, *[["until", "hello"]] * 180, ["close"]],
        [*[one for one in case.server if one != ["eof"]], *flood_back, ["eof"]],
        server_options={"port": port},
    ) as conversation:
        conversation.client.wait_waiting()
        reaches(traced, "signal_seen", 6)
        with paused(traced):
            conversation.client.release()
            conversation.finish()
    reaches(traced, "piece_ring_full", 1)
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)


def test_notices_without_room(rung: str, start_agent: StartAgent) -> None:
    """notice_ring_full: processes come while nobody reads and the ring is full."""
    with threaded() as server:
        traced = start_agent(rung, config={**only(server.port), "capture": {"ring_bytes": 4096}})
        with paused(traced):
            drive(server.port, ["/json"] * 40)
            for _ in range(10):
                command = ["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{server.port}/json"]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        reaches(traced, "exchange_ring_full", 1)
        # Ten that come and ten that go, of which a few small notices may find a last gap.
        reaches(traced, "notice_ring_full", 16)


_ENDS = {
    "close": ([["send", get("/a") * 2], HELLO, HELLO], [HEAD_END, HEAD_END, ["send", OK * 2]], []),
    "amend": (
        [["send", get("/a")], HELLO, ["until", "all"]],
        [HEAD_END, ["send", LONG_HEAD]],
        [["send", "all"]],
    ),
}


@pytest.mark.parametrize("kind", _ENDS)
def test_ends_without_room(rung: str, start_agent: StartAgent, kind: str) -> None:
    """notice_ring_full: connections end, or go on after silence, while the ring is full."""
    client, server, late = _ENDS[kind]
    with threaded() as filler:
        port, many = free_port(), {"connections": 20}
        only_these = {**only(port, filler.port), "capture": {"ring_bytes": 4096}}
        traced = start_agent(rung, config=only_these)
        last = [client[-1]] if late else []
        first = client[:-1] if late else client
        with Conversation(
            [*first, ["wait"], *last, ["close"]],
            [*server, ["wait"], *late, ["eof"]],
            client_options=many,
            server_options={**many, "port": port},
        ) as conversation:
            conversation.client.wait_waiting(20)
            conversation.server.wait_waiting(20)
            settled(traced.agent.ledger)
            with paused(traced):
                drive(filler.port, ["/json"] * 40)
                conversation.server.release()
                conversation.client.release()
                conversation.finish()
        reaches(traced, "notice_ring_full", 30)


def test_more_processes_than_the_map_holds(rung: str, start_agent: StartAgent) -> None:
    """process_map_full: room for 64 processes, of which one forks 160, which then all do I/O."""
    with threaded() as server:
        small = {**only(server.port), "capture": {"processes": 64}}
        traced = start_agent(rung, config=small)
        command = [sys.executable, "-S", "-E", str(PROGRAMS / "forks.py"), str(server.port), "160"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, text=True, **pipes) as program:
            try:
                assert program.stdout
                assert program.stdout.readline() == "forked\n"
                # Read once each time: who reads has no room in the map either, and is counted.
                forked = traced.agent.ledger()["process_map_full"]
                assert forked >= 90
                program.communicate("go on\n", timeout=slack(PATIENCE))
                assert program.returncode == 0
            finally:
                program.kill()
        assert traced.agent.ledger()["process_map_full"] >= forked + 90


def test_spans_switched_off(start_agent: StartAgent) -> None:
    """signal_spans_off: counted in the metrics all the same."""
    with threaded() as server:
        traced = start_agent(config={**only(server.port), "traces": {"enabled": False}})
        drive(server.port, ["/json"] * 6)
        reaches(traced, "signal_spans_off", 12)
        ledger = settled(traced.agent.ledger)
        assert ledger["signal_aggregated"] == 12
        assert ledger["signal_span"] == 0
        assert not imbalances(ledger), imbalances(ledger)


def test_unsampled(start_agent: StartAgent) -> None:
    """signal_unsampled."""
    with threaded() as server:
        environment = {"OTEL_TRACES_SAMPLER": "always_off"}
        traced = start_agent(config=only(server.port), environment=environment)
        drive(server.port, ["/json"] * 6)
        reaches(traced, "signal_unsampled", 12)
        ledger = settled(traced.agent.ledger)
        assert ledger["signal_aggregated"] == 12
        assert not imbalances(ledger), imbalances(ledger)
