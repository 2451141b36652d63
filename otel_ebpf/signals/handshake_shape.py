"""What handshakes with one server have in common: span template and metric attributes.

The span's `server.address` is the name that the client asked for (SNI), else the peer's address. The
metric has the peer's address and its port, of clients only: they are the listening side's, so they are few.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.semconv.attributes.network_attributes import NetworkTransportValues

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.records import Exchange, Role, Transport
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.signals import names
from otel_ebpf.signals.endpoints import address_text, unix_path_text
from otel_ebpf.signals.instruments import HistogramSeries, Instrument, Instruments
from otel_ebpf.signals.outcome import OTHER, failure
from otel_ebpf.signals.request_metrics import SECONDS_BOUNDS
from otel_ebpf.signals.span import SpanKind, SpanTemplate
from otel_ebpf.signals.tls import read_facts, tls_attributes

__all__ = ["HandshakeShapes", "failure_of"]

CACHED: Final = 1024
NAME: Final = "TLS client handshake"
_CLIENT = int(Role.CLIENT)
_UNIX = int(Transport.UNIX)
_ROLES: Final = {int(Role.CLIENT): "client", int(Role.SERVER): "server"}
_TRANSPORT_UNIX: Final = NetworkTransportValues.UNIX.value


def failure_of(record: Exchange) -> str:
    """Return `error.type` of a handshake that failed: the alert, else how the connection ended."""
    alert = read_facts(record.tls).error
    return alert or failure(0, record.end, record.error, record.flags, 0) or OTHER


class HandshakeShapes:
    """Templates by what they depend on, bounded, and the metric `ebpf.tls.handshake.duration`."""

    def __init__(self, instruments: Instruments | None) -> None:
        self._templates: dict[tuple[object, ...], SpanTemplate] = {}
        self._durations: Instrument[HistogramSeries] | None = None
        if instruments is not None:
            self._durations = instruments.histogram(
                names.TLS_HANDSHAKE_DURATION, "s", "Duration of TLS handshakes.", SECONDS_BOUNDS
            )

    def template(self, service: Service, record: Exchange, name: str, failed: str) -> SpanTemplate:
        """Return what a client's span repeats; `name` is its SNI, `failed` its `error.type`."""
        key = (service, record.vantage, record.path, record.tls, name, failed)
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= CACHED:
                self._templates.clear()
            template = self._templates[key] = _template(service, record, name, failed)
        return template

    def measure(self, service: Service, record: Exchange, failed: str, nanoseconds: int) -> None:
        """Count a handshake in the metric, if there is one."""
        if self._durations is None:
            return
        vantage, facts = record.vantage, read_facts(record.tls)
        attributes: Attributes = ((names.ROLE, _ROLES[vantage.role]),)
        if vantage.role == _CLIENT:
            attributes += _peer(vantage, record.path)
        if facts.version:
            attributes += ((names.TLS_PROTOCOL_VERSION, facts.version),)
        if facts.resumed is not None:
            attributes += ((names.TLS_RESUMED, facts.resumed),)
        if failed:
            attributes += ((names.ERROR_TYPE, failed),)
        self._durations.series(service, attributes).record(nanoseconds / 1e9)


def _peer(vantage: Vantage, path: bytes) -> Attributes:
    """Return the server's address as the client's peer; nothing where the socket is not known."""
    if vantage.transport == _UNIX:
        text = unix_path_text(path)
        pairs: Attributes = ((names.NETWORK_TRANSPORT, _TRANSPORT_UNIX),)
        return ((names.NETWORK_PEER_ADDRESS, text), *pairs) if text else pairs
    text = address_text(vantage.family, vantage.server_address)
    if not text:
        return ()
    return ((names.NETWORK_PEER_ADDRESS, text), (names.NETWORK_PEER_PORT, vantage.server_port))


def _template(service: Service, record: Exchange, name: str, failed: str) -> SpanTemplate:
    vantage = record.vantage
    peer = _peer(vantage, record.path)
    server = name or str(dict(peer).get(names.NETWORK_PEER_ADDRESS, ""))
    attributes: Attributes = ((names.SERVER_ADDRESS, server),) if server else ()
    if vantage.server_port:
        attributes += ((names.SERVER_PORT, vantage.server_port),)
    attributes += peer + tls_attributes(record.tls)
    if failed:
        attributes += ((names.ERROR_TYPE, failed),)
    title = f"{NAME} {server}" if server else NAME
    return SpanTemplate(service, int(SpanKind.INTERNAL), title, bool(failed), attributes)
