"""What an outage, a stop and a kill would lose is on disk, and arrives afterwards, in order, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.backend import Backend
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import SERVER
from tests.export_samples import closed_port
from tests.otlp_receiver import ReceivedMetric

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # the way out is the same on every rung
MEMORY = 100
"""Spans that memory holds; they come in bursts of half as many."""
COUNT = 6 * MEMORY
LIVES = 5
DURATION = "http.server.request.duration"


@pytest.fixture
def server(application: Callable[[str], Server]) -> Server:
    return application("threaded")


class Outage:
    """A backend's port at which nobody listens yet, and an agent that sends there."""

    def __init__(self, start: StartAgent, server: Server, folder: Path, protocol: str, port: int) -> None:
        self.port = port
        self.protocol = protocol
        self.server = server
        self.folder = folder
        self.mark = new_mark()
        self._start = start

    def agent(self, *, disk: dict[str, Any] | None = None, **environment: str) -> Traced:
        queue = {"directory": str(self.folder), **(disk or {})}
        config = {
            "discovery": {"include": [{"pids": [self.server.program.pid]}]},
            "export": {"disk_queue": queue},
            "telemetry": {"metrics": False},
        }
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_MAX_QUEUE_SIZE": str(MEMORY),
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20",
            **environment,
        }
        with Backend() as unused:
            return self._start(RUNG, backend=unused, config=config, environment=settings)

    def backend(self) -> Backend:
        return Backend(**{"grpc_port" if self.protocol == "grpc" else "http_port": self.port})

    def requests(self, traced: Traced, count: int = COUNT) -> None:
        """Make requests until all are accounted for on disk, in bursts that memory holds."""
        for done in range(0, count, MEMORY // 2):
            drive(self.server.port, ["/json"] * (MEMORY // 2), mark=f"{self.mark}-{done}")

            def kept(due: int = done + MEMORY // 2) -> bool:
                ledger = traced.agent.ledger()
                return ledger["export_on_disk"] + ledger["export_disk_full"] == due

            assert wait_until(kept), _on_spans(traced)

    def expect(self, backend: Backend, lost: int = 0, count: int = COUNT) -> None:
        """All requests but those lost have arrived, once, in the order in which they were made.

        Those lost are the oldest, but for what was being sent when they had to go.
        """
        seen = [one.mark for one in backend.expect(count - lost, port=self.server.port, kind=SERVER)]
        bursts = range(0, count, MEMORY // 2)
        made = [f"{self.mark}-{done}-{number}" for done in bursts for number in range(MEMORY // 2)]
        came = frozenset(seen)
        assert seen == [mark for mark in made if mark in came]
        assert seen[-MEMORY:] == made[-MEMORY:]


@pytest.fixture(params=["grpc", "http/protobuf"])
def outage(
    request: pytest.FixtureRequest, start_agent: StartAgent, server: Server, tmp_path: Path
) -> Iterator[Outage]:
    with closed_port() as port:
        yield Outage(start_agent, server, tmp_path / "queue", request.param, port)


def _comes_to(traced: Traced, **due: int) -> None:
    """Wait until the export stage's whole books on spans say this, and nothing else: they balance."""
    assert wait_until(lambda: _on_spans(traced) == due, every=0.1), _on_spans(traced)


def _on_spans(traced: Traced) -> dict[str, int]:
    ledger = traced.agent.ledger()
    return {name: n for name, n in ledger.items() if n and re.match("export_(?!points_)", name)}


def test_more_than_memory_holds(outage: Outage) -> None:
    traced = outage.agent()
    outage.requests(traced)
    with outage.backend() as backend:
        outage.expect(backend)
        _comes_to(traced, export_seen=COUNT, export_passed=COUNT)
        traced.agent.stop()


def test_stopped_during_the_outage(outage: Outage) -> None:
    """SIGTERM: the next agent sends what this one could not."""
    traced = outage.agent()
    outage.requests(traced)
    traced.agent.stop()
    assert f"{COUNT} spans stay in" in traced.agent.log
    assert "ledger: export.span.dropped" not in traced.agent.log
    with outage.backend() as backend:
        again = outage.agent()
        outage.expect(backend)
        _comes_to(again, export_recovered=COUNT, export_passed=COUNT)
        again.agent.stop()


def test_killed_during_the_outage(outage: Outage) -> None:
    """SIGKILL: what was on disk arrives from the next agent."""
    traced = outage.agent()
    outage.requests(traced)
    traced.agent.kill()
    with outage.backend() as backend:
        again = outage.agent()
        outage.expect(backend)
        _comes_to(again, export_recovered=COUNT, export_passed=COUNT)
        again.agent.stop()


@pytest.mark.parametrize("outage", ["grpc"], indirect=True)
def test_killed_amid_writing(outage: Outage) -> None:
    """SIGKILL under load, again and again: what was on disk arrives, in order and once."""
    known = 0
    for life in range(LIVES):
        known = _kill_amid_writing(outage, life, known)
    with outage.backend() as backend:
        again = outage.agent()
        assert wait_until(lambda: again.agent.ledger()["export_passed"] >= known), _on_spans(again)
        due = again.agent.ledger()["export_recovered"]
        assert due >= known >= LIVES * MEMORY
        _comes_to(again, export_recovered=due, export_passed=due)
        seen = backend.expect(due, port=outage.server.port, kind=SERVER)
        again.agent.stop()
    made = [tuple(map(int, span.mark.split("-")[1:])) for span in seen]
    assert made == sorted(set(made))
    assert {life for life, _ in made} == set(range(LIVES))


def _kill_amid_writing(outage: Outage, life: int, known: int) -> int:
    """Have an agent find what is `known` to be on disk, and write more; return what is then."""
    agent = outage.agent().agent
    assert wait_until(lambda: agent.ledger()["export_recovered"] >= known), agent.ledger()
    enough = agent.ledger()["export_on_disk"] + MEMORY
    with ThreadPoolExecutor(1) as beside:
        paths = ["/json"] * 4 * COUNT
        driving = beside.submit(drive, outage.server.port, paths, mark=f"{outage.mark}-{life}")
        assert wait_until(lambda: agent.ledger()["export_on_disk"] >= enough, every=0.001), agent.ledger()
        written = agent.ledger()["export_on_disk"]
        assert not driving.done(), "it would not be amid its load"
        agent.kill()
    return written


@pytest.mark.parametrize("outage", ["grpc"], indirect=True)
def test_a_disk_queue_without_room(outage: Outage) -> None:
    """export_disk_full: the oldest go, counted, and the rest arrives."""
    count = 24 * MEMORY
    traced = outage.agent(disk={"max_bytes": 1 << 20})
    outage.requests(traced, count)
    lost = traced.agent.ledger()["export_disk_full"]
    assert 0 < lost < count - MEMORY
    with outage.backend() as backend:
        outage.expect(backend, lost, count)
        _comes_to(traced, export_seen=count, export_passed=count - lost, export_disk_full=lost)
        traced.agent.stop()


@pytest.mark.parametrize(
    ("outage", "temporality"), [("grpc", "cumulative"), ("http/protobuf", "delta")], indirect=["outage"]
)
def test_metrics_of_an_agent_that_is_stopped(outage: Outage, temporality: str) -> None:
    """Every interval arrives: the last cumulative count, and the sum of the deltas, are what was done."""
    metrics = {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
    }
    traced = outage.agent(**metrics)
    for burst in range(3):
        drive(outage.server.port, ["/json"] * 10)
        before = traced.agent.ledger()["export_points_on_disk"]
        assert wait_until(lambda before=before: traced.agent.ledger()["export_points_on_disk"] > before), (
            burst
        )  # type: ignore[misc]
    traced.agent.stop()
    with outage.backend() as backend:
        again = outage.agent(**metrics)
        assert wait_until(lambda: again.agent.ledger()["export_points_recovered"])
        assert wait_until(lambda: not again.agent.ledger()["export_points_on_disk"])
        assert _requests(backend, temporality) == 30
        again.agent.stop()


def _requests(backend: Backend, temporality: str) -> int:
    if temporality == "cumulative":
        return backend.histogram_count(DURATION, _is_any)
    return sum(point.count for metric in backend.receiver.metrics(DURATION) for point in metric.points)


def _is_any(metric: ReceivedMetric) -> bool:
    return True


def test_a_second_agent_goes_on_without(start_agent: StartAgent, server: Server, tmp_path: Path) -> None:
    outage = Outage(start_agent, server, tmp_path / "queue", "grpc", 1)
    first = outage.agent()
    second = outage.agent()
    assert wait_until(lambda: "another agent uses it" in second.agent.log)
    assert second.agent.ledger()["disk_queue_unwritable"] > 0
    assert first.agent.ledger()["disk_queue_unwritable"] == 0
