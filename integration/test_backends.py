"""What services did, as Jaeger and Prometheus tell it when they are asked by their own APIs."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import pytest

from integration.conftest import Traced
from integration.harness.hops import Hops, visitor
from integration.harness.jaeger import Jaeger, jaeger
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.lookups import INTERNAL
from integration.harness.measured import new_mark
from integration.harness.prometheus import Prometheus, prometheus
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan, describe
from integration.harness.traces import judge, torn
from otel_ebpf.config import Runtime

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # the way out is the same on every rung
REQUESTS, AT_ONCE = 50, 5
SERVICES = ["threaded_hop", "node_hop", "asyncio_hop"]
ASKING = ["visitor", *SERVICES[:-1]]
"""Who asks each of them."""

# Building Jaeger and Prometheus for the first time takes minutes.
pytestmark = [pytest.mark.timeout(3600), pytest.mark.one_rung]


@pytest.fixture(scope="module")
def traces() -> Iterator[Jaeger]:
    with jaeger() as running:
        yield running


@pytest.fixture(scope="module")
def metrics() -> Iterator[Prometheus]:
    with prometheus() as running:
        yield running


@pytest.fixture
def chain() -> Iterator[list[Server]]:
    with Hops() as hop:
        servers = [hop(f"{service.removesuffix('_hop')}-0") for service in SERVICES]
        yield [replace(server, service=service) for server, service in zip(servers, SERVICES, strict=True)]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_chain_of_services(
    start_agent: StartAgent, chain: list[Server], traces: Jaeger, metrics: Prometheus, protocol: str
) -> None:
    """Jaeger has each request as one trace with all of its spans, and Prometheus has counted each once."""
    ports = [server.port for server in chain]
    environment = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{traces.grpc}"
        if protocol == "grpc"
        else f"http://127.0.0.1:{traces.http}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": metrics.metrics_endpoint,
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
    }
    config = {
        "discovery": {"include": [{"ports": ports}]},
        "traces": {"runtimes": list(get_args(Runtime))},
        "tls": {"enabled": False},
    }
    traced = start_agent(RUNG, config=config, environment=environment)
    mark = new_mark()
    words = visitor(chain[0], "/".join(map(str, ports[1:])), mark, REQUESTS, AT_ONCE)
    subprocess.run(words, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL)
    _check_traces(traces, mark, chain)
    _check_metrics(metrics, chain)
    traced.agent.stop()


def _check_traces(traces: Jaeger, mark: str, chain: list[Server]) -> None:
    spans: list[SeenSpan] = []

    def all_there() -> bool:
        spans[:] = [span for span in traces.spans("visitor") if span.mark == mark]
        return len(spans) >= REQUESTS * 2 * len(SERVICES)

    assert wait_until(all_there, every=0.5), describe(spans)
    assert {*ASKING, *SERVICES} <= set(traces.services())
    due: Counter[tuple[str, int, str, int]] = Counter()
    for further, (asking, server) in enumerate(reversed(list(zip(ASKING, chain, strict=True)))):
        due[asking, CLIENT, "GET", server.port] = REQUESTS
        due[server.service, SERVER, "GET /walk/{id}" + "/{id}" * further, server.port] = REQUESTS
    assert Counter((span.service, span.kind, span.name, span.port) for span in spans) == due
    verdict = judge(spans, "visitor")
    assert verdict.right.total() == len(spans), str(verdict)
    assert not torn(spans)
    ids = {span.span_id for span in spans}
    made = [span for span in traces.spans("visitor") if span.kind == INTERNAL and span.parent_id in ids]
    assert {span.name for span in made} == {f"socket connect 127.0.0.1:{server.port}" for server in chain}


def _check_metrics(metrics: Prometheus, chain: list[Server]) -> None:
    pids = "|".join(str(server.program.pid) for server in chain)
    served = f'http_server_request_duration_seconds_count{{process_pid=~"{pids}"}}'
    labels = ("job", "http_request_method", "http_response_status_code")
    due = {(service, "GET", "200"): REQUESTS for service in SERVICES}
    assert wait_until(lambda: metrics.query(served, *labels) == due), metrics.query(served, *labels)
    ports = "|".join(str(server.port) for server in chain)
    asked = f'http_client_request_duration_seconds_count{{server_port=~"{ports}"}}'
    due = {(asking, str(server.port)): REQUESTS for asking, server in zip(ASKING, chain, strict=True)}
    assert metrics.query(asked, "job", "server_port") == due
