"""The metrics of TCP's health and of UDP, of what the kernel side has added up by peer.

`network.peer.address` is the other end's; `server.port` is the listening side's port, at both ends: no
ephemeral port is in a series. Connections that a service made and those that it accepted are told apart by
`role` (client, server), where they would mean different things. `process.network.io` is the payload of all
peers together.
"""

from __future__ import annotations

from opentelemetry.semconv._incubating.attributes.network_attributes import NetworkIoDirectionValues

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.tcp_peers import Measured, TcpKind, TcpPeer
from otel_ebpf.signals import names
from otel_ebpf.signals.endpoints import address_text
from otel_ebpf.signals.instruments import (
    OVERFLOW,
    HistogramSeries,
    Instrument,
    Instruments,
    Kind,
    NumberSeries,
)
from otel_ebpf.signals.outcome import ERRNO, OTHER

__all__ = ["CONNECT_BOUNDS", "DURATION_BOUNDS", "RTT_BOUNDS", "TcpMetrics"]

# Seconds; bpf/core/tcp_peer.h sorts by the same.
RTT_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
CONNECT_BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
DURATION_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600)

_TRANSMIT: Attributes = ((names.NETWORK_IO_DIRECTION, NetworkIoDirectionValues.TRANSMIT.value),)
_RECEIVE: Attributes = ((names.NETWORK_IO_DIRECTION, NetworkIoDirectionValues.RECEIVE.value),)
_ROLES: dict[TcpKind, Attributes] = {
    TcpKind.CONNECTED: ((names.ROLE, "client"),),
    TcpKind.ACCEPTED: ((names.ROLE, "server"),),
}
_INET6 = 10

Numbers = Instrument[NumberSeries]
Histograms = Instrument[HistogramSeries]


class TcpMetrics:
    """Declares its instruments in `instruments`, and counts in them. One thread uses both.

    `processes` is whether what each process moved is told too (`metrics.processes`).
    """

    def __init__(self, instruments: Instruments, *, processes: bool = False) -> None:
        def sums(name: str, unit: str, description: str) -> Numbers:
            return instruments.number(name, unit, description, Kind.COUNTER)

        self._rtt: Histograms = instruments.histogram(
            names.TCP_RTT, "s", "Smoothed round trip time of connections that moved something.", RTT_BOUNDS
        )
        self._connects: Histograms = instruments.histogram(
            names.TCP_CONNECT_DURATION, "s", "Duration of attempts to connect.", CONNECT_BOUNDS
        )
        self._failures = sums(names.TCP_CONNECT_FAILURES, "{connection}", "Attempts to connect that failed.")
        self._retransmits = sums(names.TCP_RETRANSMITS, "{segment}", "Segments sent once more.")
        self._resets = sums(names.TCP_RESETS, "{reset}", "Connections that were reset.")
        self._overflows = sums(
            names.TCP_LISTEN_OVERFLOWS, "{connection}", "Connections that a listening socket turned away."
        )
        self._io = sums(names.TCP_IO, "By", "Payload, each byte once.")
        self._process_io = (
            sums(names.PROCESS_NETWORK_IO, "By", "Payload over TCP, each byte once.") if processes else None
        )
        self._active: Numbers = instruments.number(
            names.TCP_CONNECTION_ACTIVE, "{connection}", "Open connections.", Kind.UP_DOWN_COUNTER
        )
        self._udp_io = sums(names.UDP_IO, "By", "Payload of datagrams that programs sent or have received.")
        self._udp_drops = sums(names.UDP_DROPS, "{datagram}", "Datagrams that a socket had no room for.")
        self._durations: Histograms = instruments.histogram(
            names.TCP_CONNECTION_DURATION, "s", "Duration of connections, once they end.", DURATION_BOUNDS
        )

    def begin_active(self) -> None:
        """Before what a sweep has found is counted: what it did not find is not open."""
        for series in self._active.existing():
            series.set(0)

    def count(self, service: Service, peer: TcpPeer) -> None:
        """Count what was taken of a peer of `service`."""
        if peer.kind is TcpKind.LISTENING:
            port: Attributes = ((names.SERVER_PORT, peer.port),)
            _add(self._overflows, service, OVERFLOW if peer.overflow else port, peer.overflows)
            return
        if peer.kind is TcpKind.UDP:
            self._count_datagrams(service, peer)
            return
        who: Attributes = (
            (names.NETWORK_PEER_ADDRESS, address_text(_INET6, peer.address)),
            (names.SERVER_PORT, peer.port),
        )
        if peer.kind is TcpKind.CONNECT:
            self._count_attempts(service, peer, who)
        else:
            self._count_connections(service, peer, who)

    def _count_datagrams(self, service: Service, peer: TcpPeer) -> None:
        port: Attributes = ((names.SERVER_PORT, peer.port),) if peer.port else ()
        _add(self._udp_io, service, OVERFLOW if peer.overflow else port + _TRANSMIT, peer.sent)
        _add(self._udp_io, service, OVERFLOW if peer.overflow else port + _RECEIVE, peer.received)
        _add(self._udp_drops, service, OVERFLOW if peer.overflow else port, peer.overflows)

    def _count_attempts(self, service: Service, peer: TcpPeer, who: Attributes) -> None:
        if peer.error:
            who += ((names.ERROR_TYPE, ERRNO.get(peer.error, OTHER)),)
            failed = OVERFLOW if peer.overflow else who
            _add(self._failures, service, failed, sum(peer.time.counts))
        _merge(self._connects, service, OVERFLOW if peer.overflow else who, peer.time)

    def _count_connections(self, service: Service, peer: TcpPeer, who: Attributes) -> None:
        def attributes(more: Attributes = ()) -> Attributes:
            return OVERFLOW if peer.overflow else who + more

        role = attributes(_ROLES[peer.kind])
        _merge(self._rtt, service, role, peer.rtt)
        _merge(self._durations, service, attributes(), peer.time)
        _add(self._retransmits, service, attributes(), peer.retransmits)
        _add(self._resets, service, attributes(_TRANSMIT), peer.resets_sent)
        _add(self._resets, service, attributes(_RECEIVE), peer.resets_received)
        _add(self._io, service, attributes(_TRANSMIT), peer.sent)
        _add(self._io, service, attributes(_RECEIVE), peer.received)
        if self._process_io is not None:
            _add(self._process_io, service, _TRANSMIT, peer.sent)
            _add(self._process_io, service, _RECEIVE, peer.received)
        _add(self._active, service, role, peer.active)


def _add(instrument: Numbers, service: Service, attributes: Attributes, number: int) -> None:
    """Add to a series; none is made of nothing."""
    if number:
        instrument.series(service, attributes).add(number)


def _merge(instrument: Histograms, service: Service, attributes: Attributes, part: Measured) -> None:
    if any(part.counts):
        series = instrument.series(service, attributes)
        series.merge(part.counts, part.total / 1e9, part.least / 1e9, part.most / 1e9)
