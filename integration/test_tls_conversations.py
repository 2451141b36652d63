"""Odd HTTP, and odd TLS, word for word: each conversation makes exactly the spans that it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.compare import check_scheme, check_tls
from integration.harness.conversation import Conversation, converse, step
from integration.harness.due import expect_due
from integration.harness.odd_cases import HEAD_END, HELLO, OK, Case, Due, get
from integration.harness.tls_cases import ODD, ONLY_TLS, over_tls

# What a library passes reaches the same code on every rung: test_tls_servers and test_tls_clients run on all.
pytestmark = pytest.mark.one_rung


def _check(traced: Traced, case: Case) -> None:
    client, server = over_tls(case)
    port = converse(client, server, **case.options)
    asked = case.served if case.asked is None else case.asked
    for span in expect_due(traced.backend, port, case.served, asked):
        check_scheme(span, "https")
        check_tls(span, "1.3")
        assert span.attributes["network.peer.address"] == "127.0.0.1", span.attributes


@pytest.mark.parametrize("name", ODD)
def test_odd_http(traced: Traced, name: str) -> None:
    _check(traced, ODD[name])


@pytest.mark.parametrize("name", ONLY_TLS)
def test_odd_tls(traced: Traced, name: str) -> None:
    _check(traced, ONLY_TLS[name])


def test_ends_that_are_older_than_the_agent(rung: str, start_agent: Callable[..., Traced]) -> None:
    """A thread that stood in the library when the agent came leaves it unseen; what follows is captured."""
    case = Case(
        [
            *(["send", get("/old")], HELLO, ["wait"], ["send", get("/missed")], HELLO),
            *(["send", get("/new")], HELLO, ["close"]),
        ],
        [HEAD_END, ["send", OK], HEAD_END, ["send", OK], HEAD_END, ["send", OK], ["eof"]],
        (Due("/new"),),
    )
    with Conversation(*over_tls(case)) as conversation:
        conversation.client.wait_waiting()
        traced = start_agent(rung, config={"discovery": {"include": [{"ports": [conversation.port]}]}})
        conversation.client.release()
        conversation.finish()
        spans = expect_due(traced.backend, conversation.port, case.served, (Due("/missed"), *case.served))
        pids = {conversation.server.process.pid, conversation.client.process.pid}
        assert {span.pid for span in spans} == pids
    for span in spans:
        check_scheme(span, "https")
        check_tls(span, "")


def test_half_a_response_is_older_than_the_agent(rung: str, start_agent: Callable[..., Traced]) -> None:
    """What was amid a response is not taken for anything; the request that follows is captured."""
    part = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"
    case = Case(
        [["send", get("/old")], HELLO, ["wait"], step("count", 45), ["send", get("/new")], HELLO, ["close"]],
        [HEAD_END, ["send", part], ["wait"], ["send", "x" * 45], HEAD_END, ["send", OK], ["eof"]],
        (Due("/new"),),
    )
    with Conversation(*over_tls(case)) as conversation:
        conversation.client.wait_waiting()
        conversation.server.wait_waiting()
        traced = start_agent(rung, config={"discovery": {"include": [{"ports": [conversation.port]}]}})
        conversation.client.release()
        conversation.server.release()
        conversation.finish()
        for span in expect_due(traced.backend, conversation.port, case.served, case.served):
            check_scheme(span, "https")


def test_plaintext_that_becomes_tls(traced: Traced) -> None:
    """A session that begins amid a connection, as behind CONNECT or STARTTLS, is seen from there on."""
    made = certificates()
    port = converse(
        [
            *[["send", "STARTTLS\r\n"], ["until", "ready\r\n"], step("tls", "call", str(made.authority))],
            *[["send", get("/a")], HELLO, ["close"]],
        ],
        [
            *[["until", "STARTTLS\r\n"], ["send", "220 ready\r\n"]],
            *[step("tls", "serve", str(made.certificate), str(made.key)), HEAD_END, ["send", OK], ["eof"]],
        ],
    )
    for span in expect_due(traced.backend, port, [Due("/a")], [Due("/a")]):
        check_scheme(span, "https")
