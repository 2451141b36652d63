"""Connections that were open before the agent started: their next whole exchange is captured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.conversation import Conversation, step
from integration.harness.measured import drive
from integration.harness.odd_cases import OK, PART, get
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, describe

HEAD_END = ["until", "\r\n\r\n"]
HELLO = ["until", "hello"]
WAIT = ["wait"]

# What had passed before the agent came, by client and server, and which spans must come of the rest.
BEFORE: dict[str, tuple[Sequence[Any], Sequence[Any], list[str]]] = {
    "nothing": ([WAIT], [], ["/new"]),
    "whole_exchanges": (
        [["send", get("/old")], HELLO, ["send", get("/old")], HELLO, WAIT],
        [HEAD_END, ["send", OK], HEAD_END, ["send", OK]],
        ["/new"],
    ),
    "half_a_response": (
        [["send", get("/old")], HELLO, WAIT, step("count", 45)],
        [HEAD_END, ["send", PART], WAIT, ["send", "x" * 45]],
        ["/new"],
    ),
}
IN_GUESTS = ("whole_exchanges",)
"""An agent has to be started for each, which takes long there."""


def _released(conversation: Conversation, both: bool) -> None:
    conversation.client.release()
    if both:
        conversation.server.release()


@pytest.mark.fast
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.guest if name in IN_GUESTS else ()) for name in BEFORE]
)
def test_open_before_the_agent(rung: str, start_agent: Callable[..., Traced], name: str) -> None:
    """Both ends are older than the agent, and TCP's own counters say which of them connected."""
    client, server, paths = BEFORE[name]
    news = [[["send", get(path)], HELLO] for path in paths]
    with Conversation(
        [*client, *[one for new in news for one in new], ["close"]],
        [*server, *[HEAD_END, ["send", OK]] * len(paths), ["eof"]],
    ) as conversation:
        conversation.client.wait_waiting()
        if WAIT in server:
            conversation.server.wait_waiting()
        traced = start_agent(rung, config={"discovery": {"include": [{"ports": [conversation.port]}]}})
        _released(conversation, WAIT in server)
        conversation.finish()
        for kind, pid in (
            (SERVER, conversation.server.process.pid),
            (CLIENT, conversation.client.process.pid),
        ):
            spans = traced.backend.expect(len(paths), port=conversation.port, kind=kind)
            assert [span.target for span in spans] == paths, describe(spans)
            assert [(span.status, span.is_error) for span in spans] == [(200, False)] * len(paths)
            assert {span.pid for span in spans} == {pid}


def test_servers_that_are_older(
    rung: str, start_agent: Callable[..., Traced], application: Callable[[str], Server]
) -> None:
    """Threads that stood in accept or epoll_wait when the agent came serve the first request there is."""
    older = [application(name) for name in ("nginx", "node", "threaded", "gunicorn")]
    for server in older:
        drive(server.port, ["/1k.bin"])
    time.sleep(0.2)
    ports = [server.port for server in older]
    traced = start_agent(rung, config={"discovery": {"include": [{"ports": ports}]}})
    for server in older:
        drive(server.port, ["/1k.bin"])
    for server in older:
        (served,) = traced.backend.expect(1, port=server.port, kind=SERVER, quiet=0.2)
        assert (served.service, served.status) == (server.service, 200)
