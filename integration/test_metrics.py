"""RED metrics: counted exactly, in the resource of the service that they are of."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from integration.conftest import Traced
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port
from integration.harness.servers import threaded
from tests.otlp_receiver import ReceivedMetric

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
DURATION = "http.server.request.duration"
CUMULATIVE, DELTA = 2, 1


def _of(service: str) -> Callable[[ReceivedMetric], bool]:
    return lambda metric: metric.resource.get("service.name") == service


@pytest.mark.fast
def test_server_duration(traced: Traced) -> None:
    """Each request once, by method, scheme and status; the buckets are the conventions'."""
    service = f"metrics-{new_mark()}"
    with threaded(service) as server:
        measured = drive(server.port, ["/json"] * 6 + ["/status/503"] * 3 + ["/slow"])
        backend = traced.backend
        assert wait_until(lambda: backend.histogram_count(DURATION, _of(service)) >= 10)
        assert backend.histogram_count(DURATION, _of(service)) == 10
        metrics = [metric for metric in backend.receiver.metrics(DURATION) if _of(service)(metric)]
    last = metrics[-1]
    assert (last.kind, last.unit, last.temporality) == ("histogram", "s", CUMULATIVE)
    by_status: dict[int, int] = {}
    for point in last.points:
        assert point.bounds == BOUNDS
        assert sum(point.buckets) == point.count
        assert point.attributes["http.request.method"] == "GET"
        assert point.attributes["url.scheme"] == "http"
        status = point.attributes["http.response.status_code"]
        assert point.attributes.get("error.type") == ("503" if status == 503 else None)
        by_status[status] = by_status.get(status, 0) + point.count
    assert by_status == {200: 7, 503: 3}
    slow = [point for point in last.points if point.sum > 0.045]
    assert slow, "the request of 50 ms is in no sum"
    assert max(point.sum for point in slow) < sum(one.duration for one in measured) / 1e9


def test_client_duration(traced: Traced) -> None:
    """The asking side's, with the server's address and port."""
    with threaded() as server:
        drive(server.port, ["/json"] * 5)

        def points() -> list[int]:
            found = {}
            for metric in traced.backend.receiver.metrics("http.client.request.duration"):
                for point in metric.points:
                    if point.attributes.get("server.port") == server.port:
                        assert point.attributes["server.address"] == "127.0.0.1"
                        found[repr(sorted(point.attributes.items()))] = point.count
            return list(found.values())

        assert wait_until(lambda: sum(points()) >= 5)
        assert sum(points()) == 5


def test_delta_temporality(start_agent: Callable[..., Traced]) -> None:
    """Two bursts with an export between them: each point says what was new, and the sum is the whole."""
    service = f"delta-{new_mark()}"
    environment = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    with threaded(service) as server:
        rules = {"discovery": {"include": [{"pids": [server.program.pid]}]}}
        traced = start_agent(config=rules, environment=environment)

        def counts() -> list[int]:
            metrics = filter(_of(service), traced.backend.receiver.metrics(DURATION))
            return [point.count for metric in metrics for point in metric.points if point.count]

        for burst in (4, 3):
            before = sum(counts())
            drive(server.port, ["/json"] * burst)
            assert wait_until(lambda due=before + burst: sum(counts()) >= due)  # type: ignore[misc]
        assert sum(counts()) == 7
        assert max(counts()) <= 4
        temporality = {metric.temporality for metric in traced.backend.receiver.metrics(DURATION)}
        assert temporality == {DELTA}


def test_ledger_is_exported(traced: Traced) -> None:
    """The agent's own resource carries the books."""

    def stages() -> set[str]:
        metrics = traced.backend.receiver.metrics("ebpf.ledger.records")
        return {str(point.attributes["stage"]).split(".")[0] for metric in metrics for point in metric.points}

    assert wait_until(lambda: {"kernel", "reader", "protocol", "signal", "export"} <= stages()), stages()
    (own,) = traced.backend.receiver.metrics("process.memory.usage")[:1]
    assert own.resource["service.name"] == "otel-ebpf"
    assert {"host.name", "service.instance.id"} <= set(own.resource), "agents of other hosts are the same"


def test_active_requests(traced: Traced) -> None:
    """What is open in the kernel is what the metric says: two while they wait, then none."""
    port = free_port()

    def active() -> float | None:
        for metric in reversed(traced.backend.receiver.metrics("http.server.active_requests")):
            for point in metric.points:
                if metric.resource.get("process.pid") == os.getpid():
                    assert point.attributes["http.request.method"] == "GET"
                    assert point.attributes["url.scheme"] == "http"
                    return point.value
        return None

    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        pairs = []
        for _ in range(2):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            served = stack.enter_context(listening.accept()[0])
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            served.recv(1000)
            pairs.append((client, served))
        assert wait_until(lambda: active() == 2), active()
        for client, served in pairs:
            served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            client.recv(1000)
        assert wait_until(lambda: active() == 0), active()
