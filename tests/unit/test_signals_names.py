"""Signals, vocabulary: every name that can leave the process stands in the conventions."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import opentelemetry.semconv
from opentelemetry.semconv.schemas import Schemas

import otel_ebpf.protocols
import otel_ebpf.signals
from otel_ebpf.kernel.ledger import Shard
from otel_ebpf.signals import names, scope
from otel_ebpf.signals.handshake_shape import HandshakeShapes
from otel_ebpf.signals.instruments import Instruments
from otel_ebpf.signals.lookups import Lookups
from otel_ebpf.signals.request_metrics import LOST, RequestMetrics
from otel_ebpf.signals.sampling import AlwaysOff
from otel_ebpf.signals.tcp_metrics import TcpMetrics

_PACKAGE = Path(opentelemetry.semconv.__file__).parent

# Not in the package: the SDK specification's, and the project's own table.
PLAIN = {"stage", "outcome", "reason", "role"}
TCP = {
    "ebpf.tcp.rtt",
    "ebpf.tcp.connect.duration",
    "ebpf.tcp.connect.failures",
    "ebpf.tcp.retransmits",
    "ebpf.tcp.resets",
    "ebpf.tcp.listen.overflows",
    "ebpf.tcp.io",
    "ebpf.tcp.connection.active",
    "ebpf.tcp.connection.duration",
}
UDP = {"ebpf.udp.io", "ebpf.udp.drops"}
NETWORK_PART = {
    "ebpf.tcp.min_rtt",
    "ebpf.dns.lookup.duration",
    "ebpf.request.wait.duration",
    "ebpf.request.accept.duration",
    "ebpf.response.time_to_first_byte",
}
OWN = {
    "otel.metric.overflow",
    "ebpf.dns.retries",
    "ebpf.dns.truncations",
    "ebpf.ledger.records",
    "ebpf.tls.handshake.duration",
    "ebpf.trace.unparented",
    "runtime",
    *PLAIN,
    *TCP,
    *UDP,
    *NETWORK_PART,
}

# The metrics and attributes of HTTP, as the conventions name them.
HTTP = {
    "http.server.request.duration",
    "http.client.request.duration",
    "http.server.request.body.size",
    "http.server.response.body.size",
    "http.client.request.body.size",
    "http.client.response.body.size",
    "http.server.active_requests",
    "http.request.method",
    "http.request.method_original",
    "http.response.status_code",
    "http.route",
    "error.type",
    "url.full",
    "url.path",
    "url.query",
    "url.scheme",
    "server.address",
    "server.port",
    "client.address",
    "network.io.direction",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.name",
    "network.protocol.version",
    "network.transport",
    "network.type",
    "user_agent.original",
}

PEERS = {"service.peer.name", "service.peer.namespace"}
DNS = {"dns.answers", "dns.lookup.duration", "dns.question.name"}
TLS = {"tls.protocol.version", "tls.cipher", "tls.resumed", "tls.next_protocol"}


def package_names() -> set[str]:
    """Every string constant of the semantic conventions package."""
    found: set[str] = set()
    for path in (*_PACKAGE.glob("**/*_attributes.py"), *_PACKAGE.glob("**/*_metrics.py")):
        parts = path.relative_to(_PACKAGE).with_suffix("").parts
        module = import_module(".".join(("opentelemetry.semconv", *parts)))
        found |= {value for name, value in vars(module).items() if name.isupper()}
    return found


def test_every_name_is_a_convention() -> None:
    every = names.ATTRIBUTES | names.METRICS
    assert every - OWN <= package_names()
    assert every == HTTP | TLS | DNS | PEERS | OWN


def test_every_name_is_taken_from_the_one_list() -> None:
    """No other module of the stage imports the package's names or spells one out."""
    known = package_names() | OWN - PLAIN
    for path in Path(otel_ebpf.signals.__file__).parent.glob("*.py"):
        if path.name == "names.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
                assert node.value not in known, f"{path.name}: {node.value}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry.semconv"):
                assert all(not one.name.isupper() for one in node.names), path.name


def test_the_instruments_are_those_of_the_list() -> None:
    metrics = RequestMetrics(Instruments(0))
    HandshakeShapes(metrics.instruments)
    Lookups(Shard(), int, AlwaysOff(), metrics.instruments, None)
    TcpMetrics(metrics.instruments)
    declared = {descriptor.name for descriptor, _ in metrics.instruments.collect(1).instruments}
    assert declared == names.METRICS
    assert {name for name, _ in LOST} <= names.ATTRIBUTES


def test_the_schema_is_the_one_the_package_carries() -> None:
    assert scope.SCHEMA_URL == list(Schemas)[-1].value == "https://opentelemetry.io/schemas/1.44.0"


def test_no_protocol_spells_a_name_out() -> None:
    """What an `Operation` says it says by the package's constants."""
    known = {name for name in package_names() if "." in name}
    for path in Path(otel_ebpf.protocols.__file__).parent.glob("*.py"):
        spelt = {
            node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
        }
        assert not spelt & known, path.name
