"""Rules that change while the agent runs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server, threaded
from integration.harness.spans import SERVER

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # the decision is the core's, the same on every rung


def _only(*servers: Server, **more: Any) -> dict[str, Any]:
    return {"discovery": {"include": [{"ports": [server.port]} for server in servers]}, **more}


def _observed(traced: Traced, server: Server) -> bool:
    """Ask once more, and say whether any of it was observed by now."""
    drive(server.port, ["/json"])
    return bool(traced.backend.spans(server.port, SERVER))


def _read(traced: Traced) -> bool:
    return "has been read again" in traced.agent.log


@pytest.mark.parametrize("by", ["change", "signal"])
def test_other_rules(start_agent: StartAgent, by: str) -> None:
    """Of programs that run, on new connections: what was observed is so no longer, and the reverse."""
    with threaded() as first, threaded() as second:
        traced = start_agent(RUNG, config=_only(first), environment={"OTEL_LOG_LEVEL": "info"})
        drive(second.port, ["/json"])
        assert wait_until(lambda: _observed(traced, first))
        assert not traced.backend.spans(second.port)
        traced.agent.reconfigure(_only(second), unnoticed=by == "signal")
        if by == "signal":
            traced.agent.signal(signal.SIGHUP)
        assert wait_until(lambda: _observed(traced, second), every=0.1)
        assert _read(traced)
        mark = new_mark()
        drive(first.port, ["/json"] * 3, mark=mark)
        drive(second.port, ["/json"] * 3, mark=mark)
        traced.backend.expect(3, port=second.port, kind=SERVER, mark=mark)
        assert not [span for span in traced.backend.marked(mark) if span.port == first.port]


def test_everything_and_nothing(start_agent: StartAgent) -> None:
    """From no rules to one that excludes, by the process, and back: the kernel is told each time."""
    with threaded() as server:
        traced = start_agent(RUNG, environment={"OTEL_LOG_LEVEL": "info"})
        assert wait_until(lambda: _observed(traced, server))
        traced.agent.reconfigure({"discovery": {"exclude": [{"command_line": "*threaded.py*"}]}})
        assert wait_until(lambda: _read(traced), every=0.1)

        def is_left_out() -> bool:
            before = traced.agent.ledger()["event_discovery"]
            drive(server.port, ["/json"] * 3)
            return traced.agent.ledger()["event_discovery"] > before

        assert wait_until(is_left_out, every=0.1), "the kernel itself leaves it out"
        mark = new_mark()
        drive(server.port, ["/json"] * 3, mark=mark)
        traced.backend.settled(mark)
        assert not [span for span in traced.backend.marked(mark) if span.kind == SERVER]
        traced.agent.reconfigure({})

        def is_back() -> bool:
            again = new_mark()
            drive(server.port, ["/json"], mark=again)
            return any(span.kind == SERVER for span in traced.backend.settled(again))

        assert wait_until(is_back, every=0.1)


@pytest.mark.parametrize(
    "text", ["discovery: [", "discovery: {include: [{ports: [0]}]}", "discovery: {nothing: 1}"]
)
def test_a_broken_file_is_refused(start_agent: StartAgent, text: str) -> None:
    """It is said why, and what was there before stays in force; the next one that is whole is taken."""
    with threaded() as first, threaded() as second:
        traced = start_agent(RUNG, config=_only(first), environment={"OTEL_LOG_LEVEL": "info"})
        assert wait_until(lambda: _observed(traced, first))
        traced.agent.reconfigure(text)
        assert wait_until(lambda: "the configuration stays as it was" in traced.agent.log)
        assert not _read(traced)
        mark = new_mark()
        drive(first.port, ["/json"] * 2, mark=mark)
        drive(second.port, ["/json"] * 2, mark=mark)
        traced.backend.expect(2, port=first.port, kind=SERVER, mark=mark)
        assert not traced.backend.spans(second.port)
        traced.agent.reconfigure(_only(second))
        assert wait_until(lambda: _observed(traced, second), every=0.1)


def test_other_names(start_agent: StartAgent) -> None:
    """A rule that names a service, and one of a section that waits for the next start."""
    with threaded() as server:
        traced = start_agent(RUNG, config=_only(server), environment={"OTEL_LOG_LEVEL": "info"})
        assert wait_until(lambda: _observed(traced, server))
        named = [{"match": {"command_line": "*threaded.py*"}, "name": "renamed"}]
        traced.agent.reconfigure(_only(server, services=named, routes={"limit": 7}))

        def is_renamed() -> bool:
            drive(server.port, ["/json"])
            return any(span.service == "renamed" for span in traced.backend.spans(server.port, SERVER))

        assert wait_until(is_renamed, every=0.1)
        assert "used from the next start on: routes" in traced.agent.log
