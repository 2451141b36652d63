"""What comes too late, does not parse, or cannot be sent any more: each in the ledger."""

from __future__ import annotations

import re

from integration.harness.books import imbalances, settled
from integration.harness.conversation import Conversation, step
from integration.harness.measured import drive
from integration.harness.odd_cases import LONG_HEAD, OK, PIPELINING, get
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, notices_arrive, observe, only, reaches
from integration.harness.servers import threaded
from tests.otlp_receiver import Answer

HEAD_END = ["until", "\r\n\r\n"]
HELLO = ["until", "hello"]


def test_response_that_goes_on_after_silence(rung: str, start_agent: StartAgent) -> None:
    """protocol_amended: the span has left by then, and what follows is counted."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    with Conversation(
        [["send", get("/late")], HELLO, ["until", "after all"], ["close"]],
        [HEAD_END, ["send", LONG_HEAD], ["wait"], ["send", "after all"], ["eof"]],
        server_options={"port": port},
    ) as conversation:
        traced.backend.expect(2, port=port)
        conversation.server.release()
        conversation.finish()
    reaches(traced, "protocol_amended", 2)
    notices_arrive(traced, 4)


def test_exchange_that_does_not_parse(rung: str, start_agent: StartAgent) -> None:
    """protocol_unparsed: what comes on a connection that has spoken HTTP before."""
    traced, port = observe(
        start_agent,
        rung,
        [["send", get("/a")], HELLO, ["send", "\x01\x02 what\r\n\r\n"], ["until", "\x04"], ["close"]],
        [HEAD_END, ["send", OK], HEAD_END, ["send", "\x03\x04"], ["eof"]],
    )
    traced.backend.expect(2, port=port)
    reaches(traced, "protocol_unparsed", 2)
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)


def test_pipelined_answer_that_does_not_parse(rung: str, start_agent: StartAgent) -> None:
    """protocol_stream_unparsed: the same on a connection in stream mode."""
    traced, _ = observe(
        start_agent,
        rung,
        [["send", get("/a") + get("/b")], HELLO, ["until", "\x04"], ["close"]],
        [HEAD_END, HEAD_END, ["send", OK], step("sleep", 0.1), ["send", "\x03\r\n\r\n\x04"], ["eof"]],
    )
    reaches(traced, "protocol_stream_unparsed", 2)
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)


def test_every_notice_arrives(rung: str, start_agent: StartAgent) -> None:
    """notice_passed, reader_notice: two processes that come and go, and a close at each end."""
    case = PIPELINING["three_in_one_send"]
    traced, _ = observe(start_agent, rung, case.client, case.server)
    settled(traced.agent.ledger)  # both processes have gone, too
    notices_arrive(traced, 6)
    assert traced.agent.ledger()["notice_ring_full"] == 0


def test_spans_that_are_left_at_the_end(start_agent: StartAgent) -> None:
    """export_shutdown: the backend does not answer, and the time to stop runs out."""
    with threaded() as server:
        traced = start_agent(config=only(server.port))
        traced.backend.receiver.answer = Answer(hang=60)
        drive(server.port, ["/json"] * 5)
        reaches(traced, "export_seen", 11)  # five at each end, and the connection
        traced.agent.stop()
        told = re.search(r"export\.span\.dropped\.shutdown = (\d+)", traced.agent.log)
        assert told, traced.agent.log[-3000:]
        assert int(told[1]) == 11
