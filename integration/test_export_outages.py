"""Backends that are down, slow, or answer garbage: the reader goes on, and every loss is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.backend import Backend
from integration.harness.books import imbalances, settled
from integration.harness.conversation import Player, step
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.ports import free_port
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import SERVER
from tests.otlp_receiver import Answer

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # the way out is the same on every rung
COUNT = 10


@pytest.fixture
def server(application: Callable[[str], Server]) -> Server:
    return application("threaded")


def _only(server: Server, **traces: int) -> dict[str, Any]:
    return {"discovery": {"include": [{"pids": [server.program.pid]}]}, "traces": traces}


def _wait(traced: Traced, entry: str, count: int) -> dict[str, int]:
    wait_until(lambda: traced.agent.ledger()[entry] >= count, every=0.1)
    ledger = settled(traced.agent.ledger)
    assert ledger[entry] == count, f"{entry}: { {name: n for name, n in ledger.items() if n} }"
    assert not imbalances(ledger), imbalances(ledger)
    return ledger


def test_backend_that_comes_late(start_agent: StartAgent, server: Server) -> None:
    """Down at the start: what was made meanwhile arrives once it is there."""
    port = free_port()
    with Backend() as unused:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        traced = start_agent(RUNG, backend=unused, config=_only(server), environment=environment)
        drive(server.port, ["/json"] * COUNT)
        assert wait_until(lambda: traced.agent.ledger()["export_seen"] >= COUNT)
        time.sleep(0.5)
        assert traced.agent.ledger()["export_passed"] == 0
        with Backend(grpc_port=port) as backend:
            backend.expect(COUNT, port=server.port, kind=SERVER)
            assert _wait(traced, "export_passed", COUNT)["export_in_flight"] == 0
            traced.agent.stop()


def test_backend_that_is_away_for_a_while(start_agent: StartAgent, server: Server) -> None:
    """UNAVAILABLE three times: retried, and each span arrives once."""
    traced = start_agent(RUNG, config=_only(server))
    traced.backend.receiver.answers.extend([Answer(grpc="UNAVAILABLE", retry_delay=0.1)] * 3)
    drive(server.port, ["/json"] * COUNT)
    traced.backend.expect(COUNT, port=server.port, kind=SERVER)
    _wait(traced, "export_passed", COUNT)


def test_refusal_for_good(start_agent: StartAgent, server: Server) -> None:
    """INVALID_ARGUMENT is not retried: export_failed."""
    traced = start_agent(RUNG, config=_only(server))
    traced.backend.receiver.answer = Answer(grpc="INVALID_ARGUMENT")
    drive(server.port, ["/json"] * COUNT)
    _wait(traced, "export_failed", COUNT)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_partial_success(start_agent: StartAgent, server: Server, protocol: str) -> None:
    """What the backend says that it rejected is export_rejected, and its words are in the log."""
    one_batch = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(COUNT), "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    with Backend() as backend:
        receiver = backend.receiver
        environment = {
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint
            if protocol == "grpc"
            else receiver.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            **one_batch,
        }
        traced = start_agent(RUNG, backend=backend, config=_only(server), environment=environment)
        receiver.answers.append(Answer(rejected=2, message="two were too old"))
        drive(server.port, ["/json"] * COUNT)
        ledger = _wait(traced, "export_rejected", 2)
        assert ledger["export_passed"] == COUNT - 2
        assert "two were too old" in traced.agent.log
        assert {one.transport for one in receiver.requests()} == {protocol[:4]}
        traced.agent.stop()


def test_age_limit(start_agent: StartAgent, server: Server) -> None:
    """Retried until they are too old: export_expired."""
    traced = start_agent(RUNG, config=_only(server, max_age_seconds=1))
    traced.backend.receiver.answer = Answer(grpc="UNAVAILABLE")
    drive(server.port, ["/json"] * COUNT)
    _wait(traced, "export_expired", COUNT)


def test_queue_without_room(start_agent: StartAgent, server: Server) -> None:
    """export_queue_full: the queue's limit holds while nothing leaves."""
    environment = {"OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}
    traced = start_agent(RUNG, config=_only(server), environment=environment)
    traced.backend.receiver.answer = Answer(grpc="UNAVAILABLE")
    drive(server.port, ["/json"] * 100)
    assert wait_until(lambda: traced.agent.ledger()["export_seen"] == 100)
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)
    # The queue's 16, and at most a batch or two on the way.
    assert 100 - 16 - 2 * 8 <= ledger["export_queue_full"] <= 100 - 16, ledger
    assert "queue" in traced.agent.log.lower()


@pytest.mark.parametrize("seconds", [60.0])
def test_backend_that_hangs(start_agent: StartAgent, server: Server, seconds: float) -> None:
    """The reader reads on while a call hangs, and the agent still stops in time."""
    traced = start_agent(RUNG, config=_only(server))
    traced.backend.receiver.answer = Answer(hang=seconds)
    for burst in range(1, 4):
        drive(server.port, ["/json"] * 20)
        assert wait_until(lambda due=20 * burst: traced.agent.ledger()["signal_seen"] == due)  # type: ignore[misc]
    traced.agent.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_backend_that_answers_garbage(start_agent: StartAgent, server: Server, protocol: str) -> None:
    """Bytes that are neither HTTP nor HTTP/2: nothing passes, nothing blocks, little memory is used."""
    garbage = Player(
        "serve", [step("sleep", 0.05), ["send", "\x00garbage\r\n" * 20], ["close"]], {"connections": 500}
    )
    try:
        endpoint = f"http://127.0.0.1:{garbage.port()}"
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        traced = start_agent(RUNG, config=_only(server), environment=environment)
        before = traced.agent.resident_bytes()
        for burst in range(1, 4):
            drive(server.port, ["/json"] * 50)
            assert wait_until(lambda due=50 * burst: traced.agent.ledger()["signal_seen"] == due)  # type: ignore[misc]
        time.sleep(1)
        ledger = settled(traced.agent.ledger)
        assert ledger["export_passed"] == 0
        assert not imbalances(ledger), imbalances(ledger)
        assert traced.agent.resident_bytes() - before < 16 << 20
        traced.agent.stop()
    finally:
        garbage.end()


@pytest.mark.fast
def test_http_protobuf(start_agent: StartAgent, server: Server) -> None:
    with Backend() as backend:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.receiver.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        }
        traced = start_agent(RUNG, backend=backend, config=_only(server), environment=environment)
        drive(server.port, ["/json"] * COUNT)
        backend.expect(COUNT, port=server.port, kind=SERVER)
        _wait(traced, "export_passed", COUNT)
        assert {one.transport for one in backend.receiver.requests()} == {"http"}
        traced.agent.stop()
