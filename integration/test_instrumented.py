"""Programs that export spans of their own: these are left to them, and what else is told of them is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.backend import Backend
from integration.harness.build import PROGRAMS
from integration.harness.limits import DIES_WITH_US, wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port, is_listening
from integration.harness.rungs import RUNGS
from integration.harness.spans import SERVER
from integration.harness.tcp_counts import Told

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]
REQUESTS = 4
SERVER_PROGRAM = PROGRAMS / "instrumented" / "sdk_server.py"


@contextmanager
def _program(protocol: str, own: Backend) -> Iterator[int]:
    """Run the program, which exports to `own`; yield its port."""
    port = free_port()
    endpoint = own.receiver.http_endpoint if protocol == "http" else own.receiver.grpc_endpoint
    words = [*DIES_WITH_US, sys.executable, str(SERVER_PROGRAM), str(port), protocol, endpoint]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
        try:
            assert wait_until(lambda: is_listening(port))
            yield port
        finally:
            process.terminate()


def _config(**instrumented: str) -> dict[str, Any]:
    return {
        "discovery": {"include": [{"command_line": "*sdk_server.py*"}]},
        "instrumented": instrumented,
    }


def _counted(traced: Traced) -> int:
    name = "http.server.request.duration"
    return traced.backend.histogram_count(name, lambda one: one.resource.get("service.name") == "sdk_server")


def _known_by_its_export(traced: Traced) -> bool:
    return "exports spans of its own" in traced.agent.log


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_its_traces_are_left_to_it(start_agent: StartAgent, protocol: str) -> None:
    """From its first export on; the metrics of its requests, and of the network, go on."""
    with Backend() as own, _program(protocol, own) as port:
        config = _config()
        traced = start_agent(RUNG, config=config, environment={"OTEL_LOG_LEVEL": "info"})
        drive(port, ["/"])
        assert wait_until(lambda: _known_by_its_export(traced)), traced.agent.log
        told = Told(traced.backend, "sdk_server")
        told.expect(1, "connection.duration", server__port=port)
        answered = {"server__port": port, "network__io__direction": "transmit"}
        sent = told.total("io", **answered)
        mark = new_mark()
        drive(port, ["/"] * REQUESTS, mark=mark)
        assert wait_until(lambda: len(own.spans()) == 1 + REQUESTS)
        told.expect(2, "connection.duration", server__port=port)
        assert wait_until(lambda: told.total("io", **answered) > sent > 0)
        assert wait_until(lambda: _counted(traced) == 1 + REQUESTS)
        traced.backend.expect_none(port=int(own.endpoint.rpartition(":")[2]))
        assert not traced.backend.marked(mark)
        assert traced.agent.ledger()["signal_spans_off"] >= REQUESTS


def test_its_traces_are_made_where_that_is_wanted(start_agent: StartAgent) -> None:
    with Backend() as own, _program("http", own) as port:
        config = _config(traces="make", metrics="leave")
        traced = start_agent(RUNG, config=config, environment={"OTEL_LOG_LEVEL": "info"})
        drive(port, ["/"])
        assert wait_until(lambda: _known_by_its_export(traced)), traced.agent.log
        before = _counted(traced)
        assert before <= 1
        drive(port, ["/"] * REQUESTS)
        traced.backend.expect(1 + REQUESTS, port=port, kind=SERVER)
        assert _counted(traced) <= 1
