"""configs/collector: agents, a gateway that spreads traces over two members of a second tier, backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from integration.guest.run import CHECKOUT
from integration.harness import servers
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.collector import collector
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port
from otel_ebpf.environment import read_environment

CONFIGS = CHECKOUT / "configs" / "collector"
REQUESTS = 40
DURATION = "http.server.request.duration"

pytestmark = pytest.mark.timeout(1800)  # building the Collector for the first time takes minutes


def on_loopback(port: int) -> dict[str, Any]:
    """Return what several on one host cannot have as the files have it: the same ports."""
    protocols = {
        "grpc": {"endpoint": f"127.0.0.1:{port}"},
        "http": {"endpoint": f"127.0.0.1:{free_port()}"},
    }
    health = {"health_check": {"endpoint": f"127.0.0.1:{free_port()}"}}
    return {"receivers": {"otlp": {"protocols": protocols}}, "extensions": health}


def variables() -> dict[str, str]:
    lines = (CONFIGS / "agent.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


@contextmanager
def member(backend: Backend) -> Iterator[int]:
    """Run one of the second tier; yield its port."""
    port = free_port()
    environment = {"TRACES_ENDPOINT": backend.endpoint}
    with collector(CONFIGS / "backend.yaml", on_loopback(port), port=port, environment=environment):
        yield port


@contextmanager
def gateway(members: list[int], metrics: Backend) -> Iterator[str]:
    """Run one whose second tier has these ports in place of addresses; yield its endpoint."""
    port = free_port()
    tier = {"dns": None, "static": {"hostnames": [f"127.0.0.1:{one}" for one in members]}}
    here = {**on_loopback(port), "exporters": {"loadbalancing": {"resolver": tier}}}
    environment = {"SECOND_TIER": "unused", "METRICS_ENDPOINT": metrics.receiver.http_endpoint}
    with collector(CONFIGS / "gateway.yaml", here, port=port, environment=environment):
        yield f"http://127.0.0.1:{port}"


def test_all_spans_of_a_trace_meet_in_one_member() -> None:
    asked = {**variables(), "OTEL_TRACES_SAMPLER": "always_on"}
    with ExitStack() as stack:
        backends = [stack.enter_context(Backend()) for _ in range(2)]
        members = [stack.enter_context(member(one)) for one in backends]
        metrics = stack.enter_context(Backend())
        endpoint = stack.enter_context(gateway(members, metrics))
        environment = {**asked, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        server = stack.enter_context(servers.threaded("shop"))
        stack.enter_context(Agent(endpoint=endpoint, environment=environment))
        mark = new_mark()
        drive(server.port, ["/json"] * REQUESTS, mark=mark)
        both = 2 * REQUESTS  # the client's and the server's
        assert wait_until(lambda: sum(len(one.marked(mark)) for one in backends) == both)
        first, second = ({span.trace_id for span in one.marked(mark)} for one in backends)
        assert first
        assert second
        assert not first & second
        assert len(first | second) == REQUESTS
        assert wait_until(lambda: metrics.receiver.metrics(DURATION))
        assert not metrics.spans()


def test_variables_of_agents_are_known() -> None:
    environment = read_environment(variables())
    assert not environment.warnings
    assert environment.sampler_ratio == 0.1
