"""What calls of an operation have in common: name, attributes, and the series that they count in.

`server.address` is the listening side's address; on clients the name that led there (`answers.py`), of a unix
socket its path.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final, NamedTuple

from opentelemetry.semconv.attributes.network_attributes import NetworkTransportValues

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.kernel.records import Exchange, Piece, Role, Transport
from otel_ebpf.protocols.calls import Call, Duration, Operation
from otel_ebpf.signals import names
from otel_ebpf.signals.answers import Answers
from otel_ebpf.signals.endpoints import address_text, unix_path_text
from otel_ebpf.signals.instruments import HistogramSeries, Instrument, Instruments
from otel_ebpf.signals.outcome import failure
from otel_ebpf.signals.peers import Peers, named_peer
from otel_ebpf.signals.span import SpanKind, SpanTemplate

__all__ = ["OperationShape", "OperationShapes"]

CACHED: Final = 2048

_SERVER = int(Role.SERVER)
_TCP = int(Transport.TCP)
_UNIX = int(Transport.UNIX)


class OperationShape(NamedTuple):
    """Of calls of one service that ask the same of the same server, and end alike."""

    template: SpanTemplate
    durations: HistogramSeries | None
    peers: Peers | None  # None where the template has the peer


class OperationShapes:
    """Shapes by what they follow from; bounded, and emptied when full.

    Without `instruments` none has durations, nor do those of services that are `unmeasured` when they are
    made; `peer_names` is who answers where, if that is to be told.
    """

    def __init__(
        self,
        instruments: Instruments | None,
        answers: Answers,
        peer_names: PeerNames | None = None,
        unmeasured: Set[Service] = frozenset(),
    ) -> None:
        self._unmeasured = unmeasured
        self._instruments = instruments
        self._answers = answers
        self._peer_names = peer_names
        self._declared: dict[Duration, Instrument[HistogramSeries]] = {}
        self._known: dict[tuple[object, ...], OperationShape] = {}
        self._peers: dict[int, Peers] = {}

    def of(self, call: Call, service: Service) -> OperationShape:
        """Return the shape of a call, which is new or known."""
        record, value = call.record, call.value
        assert isinstance(value, Operation)
        ended = failure(call.response_start > 0, call.how, call.error, record.flags, call.response_start)
        error = value.failed or ended
        name = "" if record.vantage.role == _SERVER else self._answers.of(record)
        key = (service, record.vantage, record.path, value, error, name)
        shape = self._known.get(key)
        if shape is None:
            if len(self._known) >= CACHED:
                self._known.clear()
            shape = self._known[key] = self._make(service, record, value, error, name)
        return shape

    def renamed(self) -> None:
        """What peers are called has changed."""
        self._known.clear()

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        for key in [one for one in self._known if one[0] is service]:
            del self._known[key]

    def drop(self, service: Service) -> None:
        """Give up the service's series."""
        for declared in self._declared.values():
            declared.drop(service)

    def _make(
        self, service: Service, record: Exchange | Piece, value: Operation, error: str, name: str
    ) -> OperationShape:
        vantage = record.vantage
        server, unix = vantage.role == _SERVER, vantage.transport == _UNIX
        address = (
            unix_path_text(record.path) if unix else address_text(vantage.family, vantage.server_address)
        )
        asked: Attributes = value.attributes
        if error:
            asked += ((names.ERROR_TYPE, error),)
        port: Attributes = ((names.SERVER_PORT, vantage.server_port),) if vantage.server_port else ()
        where: Attributes = ((names.SERVER_ADDRESS, name or address), *port) if name or address else ()
        counted = asked if server else asked + where
        peer: Attributes = ()
        peers = None
        if unix:
            peer = ((names.NETWORK_TRANSPORT, NetworkTransportValues.UNIX.value),)
        elif server and vantage.transport == _TCP:
            peers = self._peers.setdefault(vantage.family, Peers(vantage.family, client=True))
        elif address:
            peer = ((names.NETWORK_PEER_ADDRESS, address), (names.NETWORK_PEER_PORT, vantage.server_port))
            if self._peer_names is not None and not server:
                peer += named_peer(self._peer_names.at(address, vantage.server_port))
        kind = int(SpanKind.SERVER if server else SpanKind.CLIENT)
        template = SpanTemplate(service, kind, value.name, bool(error), asked + where + peer)
        duration = value.server if server else value.client
        return OperationShape(template, self._series(service, counted, duration), peers)

    def _series(
        self, service: Service, attributes: Attributes, duration: Duration | None
    ) -> HistogramSeries | None:
        if self._instruments is None or duration is None or service in self._unmeasured:
            return None
        declared = self._declared.get(duration)
        if declared is None:
            declared = self._declared[duration] = self._instruments.histogram(
                duration.name, "s", duration.description, duration.bounds
            )
        return declared.series(service, attributes)
