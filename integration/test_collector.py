"""Through a real Collector, by both protocols: TLS of both sides, tokens, its answers, and its absence."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.backend import Backend
from integration.harness.certificates import certificates
from integration.harness.collector import Relay
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.ports import free_port
from integration.harness.provoke import reaches
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import SERVER
from tests.otlp_receiver import Answer, Request, decode_spans

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # the way out is the same on every rung
COUNT = 10
OUTAGE = float(os.environ.get("OTEL_EBPF_TEST_OUTAGE", "5"))
"""Seconds. `make test-outage` has 300."""
RETRY_AFTER = 4
"""Seconds, far above the first steps of the agent's own backoff."""
AWAY = {"OTEL_METRICS_EXPORTER": "none"}
"""Of tests that count what is refused: metrics would take some of the answers."""

# Building the Collector for the first time takes minutes.
pytestmark = [pytest.mark.timeout(1800 + 4 * OUTAGE), pytest.mark.one_rung]


@pytest.fixture
def server(application: Callable[[str], Server]) -> Server:
    return application("threaded")


@pytest.fixture(params=["grpc", "http/protobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend() -> Any:
    with Backend() as backend:
        yield backend


def _only(server: Server, **traces: int) -> dict[str, Any]:
    return {
        "discovery": {"include": [{"pids": [server.program.pid]}]},
        "traces": traces,
        "tls": {"enabled": False},
        # A busy host that holds up the agent for a moment is no reason to lose spans.
        "capture": {"ring_bytes": 64 << 20},
    }


def _is_delivered(traced: Traced, server: Server, count: int) -> None:
    """Each span has arrived once, and the books say so."""
    reaches(traced, "export_passed", count)
    traced.backend.expect(count, port=server.port, kind=SERVER)
    _is_all(traced, "export_passed", count)


def _is_all(traced: Traced, entry: str, count: int) -> None:
    """So many spans were to be exported, and all of them are entered as that."""
    ledger = traced.agent.ledger()
    assert ledger["export_seen"] == ledger[entry] == count, ledger
    assert ledger["export_in_flight"] == 0, ledger


def _strict() -> dict[str, Any]:
    """A Collector's settings that accept who shows both a certificate and a token."""
    made = certificates()
    tls = {"cert_file": made.certificate, "key_file": made.key, "client_ca_file": made.authority}
    return {
        "server": {
            "tls": {name: str(path) for name, path in tls.items()},
            "auth": {"authenticator": "bearertokenauth"},
        },
        "extensions": {"bearertokenauth": {"token": "let-me-in"}},
    }


def _credentials() -> dict[str, str]:
    made = certificates()
    return {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.authority),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(made.certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(made.key),
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20let-me-in",
    }


def test_certificates_token_and_gzip(
    start_agent: StartAgent, server: Server, backend: Backend, protocol: str
) -> None:
    """Spans and metrics come through a Collector that asks for all of these."""
    relay = Relay(free_port(), free_port(), tls=True)
    compressed = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    environment = {**relay.environment(protocol), **_credentials(), **compressed}
    with relay.running(backend, **_strict()):
        traced = start_agent(RUNG, backend=backend, config=_only(server), environment=environment)
        drive(server.port, ["/json"] * COUNT)
        _is_delivered(traced, server, COUNT)
        assert wait_until(
            lambda: backend.histogram_count("http.server.request.duration", lambda metric: True) == COUNT
        )
        assert traced.agent.ledger()["export_points_failed"] == 0
        traced.agent.stop()


@pytest.mark.parametrize(
    ("otherwise", "entry", "told"),
    [
        ({"HEADERS": "authorization=Bearer%20no"}, "export_failed", "check OTEL_EXPORTER_OTLP_HEADERS"),
        ({"CLIENT_CERTIFICATE": "", "CLIENT_KEY": ""}, "export_expired", "did not take them"),
        ({"CERTIFICATE": ""}, "export_expired", "certificate"),
    ],
    ids=["wrong token", "no certificate", "no authority"],
)
def test_who_is_not_let_in(
    start_agent: StartAgent,
    server: Server,
    backend: Backend,
    protocol: str,
    otherwise: dict[str, str],
    entry: str,
    told: str,
) -> None:
    """A wrong token loses spans at once; without a certificate they are retried until they are too old."""
    relay = Relay(free_port(), free_port(), tls=True)
    changed = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in otherwise.items()}
    environment = {**relay.environment(protocol), **_credentials(), **changed, **AWAY}
    with relay.running(backend, **_strict()):
        config = _only(server, max_age_seconds=1)
        traced = start_agent(RUNG, backend=backend, config=config, environment=environment)
        drive(server.port, ["/json"] * COUNT)
        reaches(traced, entry, COUNT)
        _is_all(traced, entry, COUNT)
        assert not backend.receiver.requests()
        assert told in traced.agent.log
        traced.agent.stop()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_asked_to_come_back(
    start_agent: StartAgent, server: Server, backend: Backend, protocol: str, code: str
) -> None:
    """503 and 429 with Retry-After, or their like by gRPC, as the Collector makes them of what it is told.

    Each refused request comes again, no sooner than it was asked to.
    """
    relay = Relay(free_port(), free_port())
    backend.receiver.answers.extend([Answer(grpc=code, retry_delay=RETRY_AFTER)] * 2)
    with relay.running(backend):
        environment = {**relay.environment(protocol), **AWAY}
        traced = start_agent(RUNG, backend=backend, config=_only(server), environment=environment)
        drive(server.port, ["/json"] * COUNT)
        _is_delivered(traced, server, COUNT)
        first, second, third, *_ = backend.receiver.requests()
        assert [one.accepted for one in (first, second, third)] == [False, False, True]
        assert len(backend.receiver.requests(accepted=False)) == 2
        assert _span_ids(first) == _span_ids(second) == _span_ids(third)
        gaps = [second.at - first.at, third.at - second.at]
        assert min(gaps) >= RETRY_AFTER, gaps
        traced.agent.stop()


def _span_ids(request: Request) -> list[str]:
    return [span.span_id for span in decode_spans(request.body)]


def test_restarts_and_an_outage(
    start_agent: StartAgent,
    server: Server,
    backend: Backend,
    protocol: str,
    request: pytest.FixtureRequest,
) -> None:
    """The Collector is restarted twice under load, then is away: each span arrives, and arrives once."""
    relay = Relay(free_port(), free_port())
    config = _only(server, max_age_seconds=int(2 * OUTAGE + 60))
    asked = 0

    def visit(seconds: float) -> None:
        nonlocal asked
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            drive(server.port, ["/json"] * COUNT)
            asked += COUNT
            time.sleep(0.3)

    environment = {**relay.environment(protocol), **AWAY}
    with relay.running(backend):
        traced = start_agent(RUNG, backend=backend, config=config, environment=environment)
        visit(1)
    for _ in range(2):
        with relay.running(backend):
            visit(1)
    visit(OUTAGE)
    waiting = traced.agent.ledger()["export_in_flight"]
    assert waiting > 0, traced.agent.ledger()
    with relay.running(backend):
        visit(1)
        _is_delivered(traced, server, asked)
        traced.agent.stop()
    arrived = {span.span_id for span in backend.spans(server.port, SERVER)}
    told = {"protocol": protocol, "outage": OUTAGE, "waiting": waiting}
    # Into the report that benchmarks/outage.py reads. (`record_property` warns of the reports' format.)
    request.node.user_properties.extend({**told, "asked": asked, "arrived": len(arrived)}.items())
