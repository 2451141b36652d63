"""The odd HTTP that real programs speak: each conversation makes exactly the spans that it should."""

from __future__ import annotations

import time

import pytest

from integration.conftest import Traced
from integration.harness.conversation import Conversation, converse, step
from integration.harness.due import check_due, expect_due
from integration.harness.odd_cases import CASES, CHUNKED, LONG_HEAD, OK, PAUSE, Due, get
from integration.harness.spans import CLIENT, KINDS, SERVER


@pytest.mark.guest
@pytest.mark.parametrize("name", CASES)
def test_conversation(traced: Traced, name: str) -> None:
    case = CASES[name]
    port = converse(case.client, case.server, **case.options)
    expect_due(traced.backend, port, case.served, case.served if case.asked is None else case.asked)


@pytest.mark.parametrize("framing", ["chunked", "until_close", "length"])
def test_events_with_gaps_of_two_seconds(traced: Traced, framing: str) -> None:
    """A slow body is one response, and its span does not leave before its end."""
    head = {
        "chunked": CHUNKED,
        "until_close": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        "length": "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n",
    }[framing]
    piece, last = "data: one\n", "data: two\n"
    if framing == "chunked":
        piece, last = f"a\r\n{piece}\r\n", "0\r\n\r\n"
    gap = step("sleep", 2)
    events = [["send", piece], gap, ["send", piece], gap, ["wait"], ["send", last], ["close"]]
    with Conversation(
        [["send", get("/events")], ["eof"], ["close"]], [["until", "\r\n\r\n"], ["send", head], *events]
    ) as conversation:
        conversation.server.wait_waiting()
        assert not traced.backend.spans(conversation.port), "a span left amid the response"
        conversation.server.release()
        conversation.finish()
    due = Due("/events", at_least=3.9)
    expect_due(traced.backend, conversation.port, [due], [due])


IDLE = {
    "length": ((OK,), "hello"),
    "chunked": ((CHUNKED + "5\r\nhello\r\n0\r\n\r\n",), "0\r\n\r\n"),
    "trailers_of_their_own": ((CHUNKED + "5\r\nhello\r\n", "0\r\n", "X-Sum: 1\r\n\r\n"), "X-Sum: 1\r\n\r\n"),
    "end_of_its_own": ((CHUNKED + "5\r\nhello\r\n", "0\r\n", "X-Sum: 1\r\n", "\r\n"), "X-Sum: 1\r\n\r\n"),
    "no_body": (("HTTP/1.1 204 No Content\r\n\r\n",), "\r\n\r\n"),
    "head_of_9_KiB": ((LONG_HEAD,), "hello"),
}


@pytest.mark.guest
@pytest.mark.parametrize("name", IDLE)
def test_idle_connection_does_not_hold_its_last_request(traced: Traced, name: str) -> None:
    """It is reported while the connection stays open and says nothing more."""
    sends, end = IDLE[name]
    response = [one for part in sends for one in (["send", part], PAUSE)][:-1]
    with Conversation(
        [["send", get("/idle")], ["until", end], ["wait"], ["send", get("/later")], ["until", "hello"]],
        [["until", "\r\n\r\n"], *response, ["until", "\r\n\r\n"], ["send", OK], ["eof"]],
    ) as conversation:
        conversation.client.wait_waiting()
        traced.backend.expect(2, port=conversation.port, quiet=0)
        conversation.client.release()
        conversation.finish()
    both = [Due("/idle", status=204 if name == "no_body" else 200), Due("/later", after=0.0)]
    expect_due(traced.backend, conversation.port, both, both)


@pytest.mark.guest
def test_two_hundred_threads_blocked_in_receive(traced: Traced) -> None:
    """More threads in one function than a kretprobe has room for, were it used."""
    many = {"connections": 200}
    with Conversation(
        [["wait"], ["send", get("/crowd")], ["until", "hello"], ["close"]],
        [["until", "\r\n\r\n"], ["send", OK], ["eof"]],
        client_options=many,
        server_options=many,
    ) as conversation:
        conversation.client.wait_waiting(200)
        time.sleep(0.2)  # so that the last of the server's threads has come to its recv
        conversation.client.release()
        conversation.finish()
    for kind in (SERVER, CLIENT):
        spans = traced.backend.expect(200, port=conversation.port, kind=kind)
        check_due(spans, [Due("/crowd")] * 200)
        assert len({span.span_id for span in spans}) == 200
        assert len({span.trace_id for span in spans}) == 200, KINDS[kind]


@pytest.mark.guest
def test_server_that_speaks_first(traced: Traced) -> None:
    """A protocol in which the server greets is not HTTP, even if it says what looks like it."""
    port = converse(
        [["until", "\r\n"], ["send", "EHLO odd\r\n"], ["until", "HELP\r\n"], ["send", "QUIT\r\n"], ["eof"]],
        [
            *[["send", "220 odd ESMTP\r\n"], ["until", "\r\n"], ["send", "250-odd\r\n250 HELP\r\n"]],
            *[["until", "QUIT\r\n"], ["send", "221 bye\r\n"], ["close"]],
        ],
    )
    traced.backend.expect_none(port=port)


@pytest.mark.parametrize("direction", ["response", "request"])
def test_stream_past_4_gib(traced: Traced, direction: str) -> None:
    """Offsets and lengths have more than 32 bits: what comes after the wrap is still understood."""
    count = (4 << 30) + 100_000
    head_end = ["until", "\r\n\r\n"]
    small = [["send", get("/after")], ["until", "hello"], ["close"]]
    if direction == "response":
        client = [["send", get("/large")], head_end, step("count", count), *small]
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n"
        server = [head_end, ["send", head], step("send_zeros", count), head_end, ["send", OK], ["eof"]]
    else:
        head = get("/large", f"Content-Length: {count}\r\n", "POST")
        client = [["send", head], step("send_zeros", count), ["until", "hello"], *small]
        server = [head_end, step("count", count), ["send", OK], head_end, ["send", OK], ["eof"]]
    with Conversation(client, server) as conversation:
        conversation.finish(60)
    method = "GET" if direction == "response" else "POST"
    due = [Due("/large", method=method), Due("/after", after=0.0)]
    expect_due(traced.backend, conversation.port, due, due)
