"""What was captured before user space had decided on it: filtered, and counted where it stood by then."""

from __future__ import annotations

import pytest

from integration.harness.books import imbalances, settled
from integration.harness.conversation import Conversation, converse, step
from integration.harness.limits import wait_until
from integration.harness.odd_cases import OK, PIPELINING, get
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, only, paused, reaches

HEAD_END = ["until", "\r\n\r\n"]
HELLO = ["until", "hello"]


def test_exchange_that_is_open_at_the_decision(rung: str, start_agent: StartAgent) -> None:
    """exchange_discovery: half a request came before the process was known to be excluded."""
    traced = start_agent(rung, config=only(free_port()))
    first, second = get("/half")[:9], get("/half")[9:]

    def counted() -> int:
        converse(
            [["send", first], step("sleep", 0.5), ["send", second], HELLO, ["close"]],
            [HEAD_END, ["send", OK], ["eof"]],
        )
        return traced.agent.ledger()["exchange_discovery"]

    # Again, with others, if the decision took longer than that pause.
    assert wait_until(lambda: counted() >= 2)
    ledger = settled(traced.agent.ledger)
    assert ledger["signal_seen"] == 0
    assert not imbalances(ledger), imbalances(ledger)


def test_exchanges_that_waited_for_the_decision(rung: str, start_agent: StartAgent) -> None:
    """protocol_discovery: exchanges of excluded processes, in the ring before they were known."""
    traced = start_agent(rung, config=only(free_port()))
    with paused(traced):
        converse(
            [["send", get("/early")], HELLO, ["close"]],
            [HEAD_END, ["send", OK], ["eof"]],
        )
    reaches(traced, "protocol_discovery", 2)
    ledger = settled(traced.agent.ledger)
    assert ledger["signal_seen"] == 0
    assert not imbalances(ledger), imbalances(ledger)


def test_pieces_that_waited_for_the_decision(rung: str, start_agent: StartAgent) -> None:
    """protocol_stream_discovery: the same of a connection in stream mode."""
    traced = start_agent(rung, config=only(free_port()))
    case = PIPELINING["three_in_one_send"]
    with paused(traced):
        converse(case.client, case.server)
    reaches(traced, "protocol_stream_discovery", 4)
    assert traced.agent.ledger()["signal_seen"] == 0


def test_exchange_that_is_open_when_the_connection_is_given_up(rung: str, start_agent: StartAgent) -> None:
    """exchange_ignored: of a protocol nobody knows, a request that was not answered yet."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    client, server = [], []
    for number in range(4):
        client += [["send", f"ask {number}\n"], ["until", f"told {number}\n"]]
        server += [["until", f"ask {number}\n"], ["send", f"told {number}\n"]]
    with Conversation(
        [*client[:2], ["wait"], *client[2:], ["send", "ask 4\n"], ["eof"]],
        [*server, ["until", "ask 4\n"], ["wait"], ["send", "told 4\n"], ["close"]],
        server_options={"port": port},
    ) as conversation:
        conversation.client.wait_waiting()
        reaches(traced, "exchange_seen", 2)
        with paused(traced):
            conversation.client.release()
            conversation.server.wait_waiting()
        reaches(traced, "exchange_ignored", 2)
        conversation.server.release()
        conversation.finish()
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)


@pytest.mark.parametrize("complete", [True, False])
def test_requests_in_progress(rung: str, start_agent: StartAgent, complete: bool) -> None:
    """exchange_in_flight: a gauge of the exchanges that are open."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    request = get("/waits")
    with Conversation(
        [["send", request if complete else request[:20]], ["wait"], ["close"]],
        [["eof"]],
        server_options={"port": port},
    ) as conversation:
        conversation.client.wait_waiting()
        reaches(traced, "exchange_in_flight", 2)
        ledger = settled(traced.agent.ledger)
        assert not imbalances(ledger), imbalances(ledger)
        conversation.client.release()
        conversation.finish()
