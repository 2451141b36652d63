"""The compose files: started as users do, with images of the same names that are made here.

Of Tempo and Grafana no program is to be had without their images: what is theirs compose alone has looked at.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.harness import servers
from integration.harness.build import go_module
from integration.harness.compose import FILES, Host, host
from integration.harness.images import load_agent, make
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from tests.dashboard import expressions

QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
SILENT = {
    "Errors",
    "In progress",  # at the very moment of an export
    "Asked of others: errors",
    "Segments sent again",
    "Attempts to connect that failed",
    "Resets and full listen queues",
    "Failures",
    "What was lost",
    "What was sent",  # without Tempo
}
"""Panels of what does not happen to a healthy service."""

SOON = 120
"""Seconds until what is started has started: several programs, and the agent among them."""

pytestmark = pytest.mark.timeout(1800)  # building the programs for the first time takes minutes


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    with host() as made:
        load_agent(made.daemon)
        yield made


def test_jaeger_shows_the_requests_of_a_service(machine: Host) -> None:
    program = go_module("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
    make(
        machine.daemon,
        "jaegertracing/jaeger:2.13.0",
        {"/jaeger": program},
        ["/jaeger"],
        JAEGER_LISTEN_HOST="0.0.0.0",
    )

    def names() -> list[str]:
        traces = machine.ask(16686, "/api/traces", service="shop")["data"] or []
        return [span["operationName"] for trace in traces for span in trace["spans"]]

    with servers.threaded("shop") as server, machine.up("jaeger.yaml", environment=QUICKLY):
        assert wait_until(lambda: _asked_and_seen(server.port, lambda: "GET /json" in names()), SOON)


def _asked_and_seen(port: int, seen: Callable[[], object]) -> bool:
    socket.getaddrinfo("localhost", port)
    drive(port, ["/json"])
    try:
        return bool(seen())
    except (AssertionError, ValueError):
        return False  # it is starting


def test_prometheus_answers_the_dashboard(machine: Host) -> None:
    """Each panel is asked for as Grafana does, and shows something of what has happened."""
    program = go_module(
        "prometheus", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/prometheus"
    )
    make(machine.daemon, "prom/prometheus:v3.16.0", {"/prometheus-server": program}, ["/prometheus-server"])
    panels = expressions()
    pending = set(panels) - SILENT

    def answer(expression: str) -> list[Any]:
        told = machine.ask(9090, "/api/v1/query", query=expression)
        assert told["status"] == "success", (expression, told)
        return list(told["data"]["result"])

    def all_shown() -> bool:
        pending.difference_update([one for one in pending if any(map(answer, panels[one]))])
        return not pending

    with (
        servers.threaded("shop") as server,
        machine.up("grafana.yaml", "otel-ebpf", "prometheus", environment=QUICKLY),
    ):
        assert wait_until(lambda: _asked_and_seen(server.port, all_shown), SOON, every=1), pending
        for panel in SILENT:
            assert all(isinstance(answer(expression), list) for expression in panels[panel])


def test_files_that_are_mounted_are_there(machine: Host) -> None:
    for file in FILES.glob("*.yaml"):
        services = machine.config(file.name)["services"].values()
        sources = [volume.partition(":")[0] for service in services for volume in service.get("volumes", ())]
        assert all(Path(source).is_file() for source in sources if source.startswith("/")), sources
