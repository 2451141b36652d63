"""Each reason for which something is not reported, provoked: without its increment a test here fails."""

from __future__ import annotations

import subprocess
from typing import Any

from integration.harness.books import imbalances, settled
from integration.harness.conversation import Conversation, Player, converse, step
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.odd_cases import OK, PIPELINING, get
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, only, paused, reaches
from integration.harness.servers import nginx, threaded

HEAD_END = ["until", "\r\n\r\n"]


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
    assert ledger["exchange_streamed"] + ledger["piece_seen"] > 0, ledger
    assert not imbalances(ledger), imbalances(ledger)


def test_unknown_protocol(rung: str, start_agent: StartAgent) -> None:
    """protocol_unknown at first, then event_ignored: the kernel has been told to stop."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    client, server = _lines(30, gap=0.05)
    converse(client, server, server_options={"port": port})
    reaches(traced, "protocol_unknown", 2)
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

        assert wait_until(lambda: counted() > 0, 4)
        ledger = settled(traced.agent.ledger)
        assert ledger["signal_seen"] == ledger["protocol_unknown"] == 0, ledger
        assert not imbalances(ledger), imbalances(ledger)


def test_excluded_traffic(rung: str, start_agent: StartAgent) -> None:
    """event_discovery: a port that no rule includes."""
    with threaded() as server:
        traced = start_agent(rung, config=only(free_port()))
        drive(server.port, ["/json"] * 50)
        reaches(traced, "event_discovery", 50)
        assert traced.agent.ledger()["signal_seen"] == 0


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
        reaches(traced, "notice_ring_full", 1)
        reaches(traced, "exchange_ring_full", 1)


def test_more_processes_than_the_map_holds(rung: str, start_agent: StartAgent) -> None:
    """process_map_full: room for 64 processes, and 80 that live at once."""
    port = free_port()
    traced = start_agent(rung, config={**only(port), "capture": {"processes": 64}})
    conversation = Conversation(
        [["send", get("/a")], ["until", "hello"], ["wait"]],
        [HEAD_END, ["send", OK], ["eof"]],
        server_options={"port": port, "connections": 80},
    )
    players = [conversation.client]
    try:
        steps = [["send", get("/a")], ["until", "hello"], ["wait"]]
        players += [Player("call", steps, {}, port) for _ in range(79)]
        for player in players:
            player.wait_waiting()
        reaches(traced, "process_map_full", 1)
    finally:
        for player in players:
            player.end()
        conversation.server.end()


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
