"""Each reason for which bytes of a followed connection are not read or not attributed, provoked."""

from __future__ import annotations

import pytest

from integration.harness.books import imbalances, settled
from integration.harness.conversation import Conversation, step
from integration.harness.odd_cases import OK, get
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, observe, only, reaches
from integration.harness.spans import CLIENT, SERVER
from integration.harness.ways import COUNT, WAYS_ONLY, Way, run_way

HEAD_END = ["until", "\r\n\r\n"]
HELLO = ["until", "hello"]
EOF = ["eof"]
UNSEEN = step("until_unseen", "\r\n\r\n")
LARGE = 1 << 20
"""Bytes that no pair of narrow sockets holds: who sends them blocks until the peer reads."""


def _post(path: str) -> str:
    """Return the head of a request that is LARGE with its body."""
    head = get(path, f"Content-Length: {LARGE:08}\r\n", "POST")
    return head.replace(f"{LARGE:08}", f"{LARGE - len(head):08}")


@pytest.mark.parametrize("lost", ["bytes", "message"])
def test_memory_that_is_gone(rung: str, start_agent: StartAgent, lost: str) -> None:
    """event_fault: a page that the kernel has copied from is given back before the call returns."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    sent = step("send_odd", f"send_then_lose_{lost}", _post("/gone"), LARGE)
    with Conversation(
        [["narrow"], sent, HELLO, ["close"]],
        [["narrow"], ["wait"], step("count", LARGE), ["send", OK], ["eof"]],
        server_options={"port": port},
    ) as conversation:
        conversation.server.wait_waiting()
        conversation.client.wait_waiting()
        conversation.server.release()
        conversation.finish()
    reaches(traced, "event_fault", 1)
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)


def test_role_that_tcp_does_not_settle(rung: str, start_agent: StartAgent) -> None:
    """connection_role_unknown: a restored socket; who speaks first is taken for the client."""
    traced, port = observe(
        start_agent,
        rung,
        [step("send_odd", "send_in_repair", get("/restored")), HELLO, ["close"]],
        [HEAD_END, ["send", OK], ["eof"]],
    )
    reaches(traced, "connection_role_unknown", 1)
    traced.backend.expect(1, port=port, kind=CLIENT)


@pytest.mark.guest
def test_forty_threads_blocked_in_send(rung: str, start_agent: StartAgent) -> None:
    """event_threads_full where a return can be missed (kprobe); every other rung sees all requests."""
    port, many = free_port(), {"connections": 40}
    traced = start_agent(rung, config=only(port))
    again = [["send", get("/again")], HELLO]
    with Conversation(
        [["narrow"], step("send_odd", "send_padded", _post("/blocked"), LARGE), HELLO, *again],
        [["narrow"], ["wait"], step("count", LARGE), ["send", OK], HEAD_END, ["send", OK], ["eof"]],
        client_options=many,
        server_options={**many, "port": port},
    ) as conversation:
        conversation.server.wait_waiting(40)
        conversation.server.release()
        conversation.finish(60)
    if rung == "kprobe":
        reaches(traced, "event_threads_full", 1)
        return
    spans = traced.backend.expect(80, port=port, kind=CLIENT)
    assert {span.status for span in spans} == {200}
    assert traced.agent.ledger()["event_threads_full"] == 0


_UNSEEN = [
    ("kernel_buffer", "socket_trace", Way("sendfile", 64, out="sendfile")),
    ("io_uring", "socket_trace", Way("io_uring", 64, out="io_uring")),
    ("io_uring", "socket_trace", Way("worker of io_uring", 64, out="io_uring_worker")),
    ("syscall", "socket_trace", Way("sendmmsg", 64, out="sendmmsg")),
    ("compat", "socket_trace", Way("32-bit", 32)),
    ("compat", "syscall", Way("32-bit", 32)),
]


@pytest.mark.parametrize(("reason", "on", "way"), _UNSEEN, ids=[f"{one[2].row}-{one[1]}" for one in _UNSEEN])
def test_ways_that_cannot_be_read(start_agent: StartAgent, reason: str, on: str, way: Way) -> None:
    """event_unseen_*: what the rung cannot read has its reason. docs/ways.md has every way and rung."""
    traced = start_agent(on, config=WAYS_ONLY)
    run = run_way(traced, way)
    assert run.counted[f"event_unseen_{reason}"] >= COUNT, run.counted


def test_call_whose_arguments_are_unknown(start_agent: StartAgent) -> None:
    """event_unseen_syscall: io_submit sends as well."""
    traced, _ = observe(
        start_agent,
        "socket_trace",
        [step("send_odd", "send_by_aio", get("/a")), HELLO, ["close"]],
        [HEAD_END, ["send", OK], EOF],
    )
    reaches(traced, "event_unseen_syscall", 1)


def test_request_that_no_hook_sees(rung: str, start_agent: StartAgent) -> None:
    """event_gap: found by TCP's own counters when the next request comes, which is whole."""
    traced, port = observe(
        start_agent,
        rung,
        [*[["send", get("/a")], HELLO, ["send", get("/unseen")], HELLO, ["send", get("/again")], HELLO], EOF],
        [HEAD_END, ["send", OK], UNSEEN, ["send", OK], HEAD_END, ["send", OK], ["close"]],
    )
    reaches(traced, "event_gap", 1)
    spans = traced.backend.expect(5, port=port)
    assert [span.target for span in spans if span.kind == SERVER] == ["/a", "/again"]


def test_last_bytes_that_no_hook_sees(rung: str, start_agent: StartAgent) -> None:
    """event_gap: found by TCP's own totals when the connection ends."""
    traced, _ = observe(
        start_agent,
        rung,
        [["send", get("/a")], HELLO, ["send", get("/unseen")], EOF],
        [HEAD_END, ["send", OK], UNSEEN, ["close"]],
    )
    reaches(traced, "event_gap", 1)
