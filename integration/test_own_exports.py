"""An OTLP receiver on this host is a service like any other, but the agent's own exports are none of it."""

from __future__ import annotations

import subprocess
import time

import pytest

from integration.harness.backend import Backend
from integration.harness.conversation import Player, step
from integration.harness.limits import slack
from integration.harness.measured import drive
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, only, reaches
from integration.harness.servers import threaded
from integration.harness.spans import CLIENT, SERVER


@pytest.mark.parametrize("protocol", ["http/protobuf", pytest.param("grpc", marks=pytest.mark.guest)])
def test_exports_make_no_spans_of_their_receiver(rung: str, start_agent: StartAgent, protocol: str) -> None:
    """event_self: the receiver's end of the agent's connections is left alone, others' are not."""
    with Backend() as backend:
        receiver = backend.receiver
        by_http = protocol == "http/protobuf"
        port = int(receiver.http_endpoint.rpartition(":")[2])
        endpoint = receiver.http_endpoint if by_http else receiver.grpc_endpoint
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
        }
        ports = only(port, int(receiver.grpc_endpoint.rpartition(":")[2]))
        traced = start_agent(rung, backend=backend, config=ports, environment=environment)
        reaches(traced, "export_points_passed", 200)
        reaches(traced, "event_self", 10)
        url = f"{receiver.http_endpoint}/v1/traces"
        command = ["curl", "-s", "-o", "/dev/null", "-H", "Content-Type: application/x-protobuf"]
        done = subprocess.run([*command, "--data-binary", "", url], check=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0
        time.sleep(slack(1))
        spans = backend.expect(2, port=port)
        assert sorted(span.kind for span in spans) == [SERVER, CLIENT]
        ledger = traced.agent.ledger()
        assert ledger["signal_span"] == 2, ledger
        assert ledger["export_seen"] == 2 + ledger["signal_connect_span"], ledger
        assert ledger["protocol_unsupported"] == ledger["protocol_stream_unsupported"] == 0, ledger
        traced.agent.stop()


def test_the_first_call_of_a_receiver_is_counted(rung: str, start_agent: StartAgent) -> None:
    """event_self: one call, and no more, receives the beginning of an export."""
    receiver = Player("serve", [step("until", "POST", 4), ["wait"]], {"port": free_port()})
    try:
        port = receiver.port()
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        traced = start_agent(rung, config=only(port), environment=environment)
        receiver.wait_waiting()
        reaches(traced, "event_self", 1)
        assert traced.agent.ledger()["event_self"] == 1
        traced.agent.stop()
    finally:
        receiver.end()


def test_a_receiver_that_is_not_there_hides_nobody(rung: str, start_agent: StartAgent) -> None:
    """A connection that failed is forgotten: the kernel soon gives its socket's memory to somebody else."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    with threaded() as server:
        traced = start_agent(rung, config=only(server.port), environment=environment)
        asked, until = 0, time.monotonic() + slack(8)
        while time.monotonic() < until:
            drive(server.port, ["/json"])
            asked += 1
        assert "Connection refused" in traced.agent.log
        reaches(traced, "signal_seen", 2 * asked)
        assert traced.agent.ledger()["event_self"] == 0
