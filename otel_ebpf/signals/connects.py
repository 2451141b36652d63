"""How a client's connection was made: a child span of its first call's, as its TLS handshake is.

It starts and ends before its parent: a call is timed from its first byte, whatever came before it.

Books (`Shard`): signal_connect_seen = _span + _unsampled + _failed; nothing where there are no spans at all.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from opentelemetry.semconv.attributes.network_attributes import NetworkTransportValues, NetworkTypeValues

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import Exchange
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.protocols.calls import Call
from otel_ebpf.signals import names
from otel_ebpf.signals.endpoints import address_text, url_host
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.sampling import Sampler
from otel_ebpf.signals.span import NO_ATTRIBUTES, Span, SpanKind, SpanTemplate

__all__ = ["Connects"]

_logger = logging.getLogger(__name__)

CACHED: Final = 1024
NAME: Final = "socket connect"

_SEEN = int(Entry.SIGNAL_CONNECT_SEEN)
_SPAN = int(Entry.SIGNAL_CONNECT_SPAN)
_UNSAMPLED = int(Entry.SIGNAL_CONNECT_UNSAMPLED)
_FAILED = int(Entry.SIGNAL_CONNECT_FAILED)
_SAMPLED = 1  # W3C trace flags
_RANDOM = 2
_TCP: Final = NetworkTransportValues.TCP.value


class Connects:
    """Takes first calls. One thread uses it. Never raises.

    All it is made of is the `SignalStage`'s.
    """

    def __init__(
        self,
        shard: Shard,
        clock: Callable[[], int],
        sampler: Sampler,
        emit: Callable[[Span], None] | None,
        per_service: PerService,
    ) -> None:
        self._per_service = per_service
        self._counts = shard.counts
        self._clock = clock
        self._sample = sampler.sample
        self._emit = emit
        self._templates: dict[tuple[Service, Vantage], SpanTemplate] = {}
        self._complained = False

    def called(self, call: Call, service: Service) -> None:
        """Take a call whose record has `Capture.CONNECTED`, once its own span has left."""
        if self._emit is None or type(call.record) is not Exchange or service in self._per_service.untraced:
            return
        counts = self._counts
        counts[_SEEN] += 1
        try:
            sample = self._per_service.samplers.get(service, self._sample)
            if not sample(call.trace_id, call.parent_id, call.trace_flags, call.context_source):
                counts[_UNSAMPLED] += 1
                return
            self._emit(self._span(call, call.record, service))
            counts[_SPAN] += 1
        except Exception:
            counts[_FAILED] += 1
            if not self._complained:
                self._complained = True
                _logger.exception(
                    "a connection could not be made a span, please report this line; more are only counted"
                )

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        for key in [one for one in self._templates if one[0] is service]:
            del self._templates[key]

    def _span(self, call: Call, record: Exchange, service: Service) -> Span:
        key = (service, record.vantage)
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= CACHED:
                self._templates.clear()
            template = self._templates[key] = _template(*key)
        offset = self._clock()
        start, end = record.connect_start + offset, record.connect_end + offset
        flags = call.trace_flags & _RANDOM | _SAMPLED
        return Span(
            template, call.trace_id, os.urandom(8), call.span_id, flags, False,
            start, end, NO_ATTRIBUTES, 0,
        )  # fmt: skip


def _template(service: Service, vantage: Vantage) -> SpanTemplate:
    address, port = address_text(vantage.family, vantage.server_address), vantage.server_port
    version = NetworkTypeValues.IPV6 if ":" in address else NetworkTypeValues.IPV4
    attributes: Attributes = (
        (names.NETWORK_PEER_ADDRESS, address),
        (names.NETWORK_PEER_PORT, port),
        (names.NETWORK_TRANSPORT, _TCP),
        (names.NETWORK_TYPE, version.value),
    )
    title = f"{NAME} {url_host(address)}:{port}"
    return SpanTemplate(service, int(SpanKind.INTERNAL), title, False, attributes)
