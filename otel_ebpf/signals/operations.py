"""Calls of protocols other than HTTP, as spans and durations. What was asked the protocol has said already.

Books: those of the `SignalStage`, which has counted the call as seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from otel_ebpf.identity.model import Service
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import ContextSource, Role
from otel_ebpf.protocols.calls import Call
from otel_ebpf.signals.answers import Answers
from otel_ebpf.signals.network_part import NetworkPart
from otel_ebpf.signals.operation_shapes import OperationShape, OperationShapes
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.request_metrics import UNPARENTED, RequestMetrics
from otel_ebpf.signals.sampling import NO_PARENT, Sampler
from otel_ebpf.signals.span import NO_ATTRIBUTES, Span

__all__ = ["Operations"]

_logger = logging.getLogger(__name__)

_AGGREGATED = int(Entry.SIGNAL_AGGREGATED)
_SPAN = int(Entry.SIGNAL_SPAN)
_UNSAMPLED = int(Entry.SIGNAL_UNSAMPLED)
_SPANS_OFF = int(Entry.SIGNAL_SPANS_OFF)
_FAILED = int(Entry.SIGNAL_FAILED)

_SERVER = int(Role.SERVER)
_LOCAL = (int(ContextSource.ROOT), int(ContextSource.SERVED))  # a parent, if any, is in the same process
_DECIDED = int(ContextSource.DECIDED)
_SAMPLED = 1  # W3C trace flags
_RANDOM = 2


class Operations:
    """Takes calls whose value is an `Operation`. One thread uses it. Never raises.

    All it is made of is the `SignalStage`'s.
    """

    def __init__(  # noqa: PLR0917 (as a stage is given them)
        self,
        shard: Shard,
        clock: Callable[[], int],
        sampler: Sampler,
        metrics: RequestMetrics | None,
        emit: Callable[[Span], None] | None,
        answers: Answers,
        per_service: PerService,
        peer_names: PeerNames | None,
    ) -> None:
        self._counts = shard.counts
        self._clock = clock
        self._sample = sampler.sample
        self._metrics = metrics
        self._emit = emit
        self._per_service = per_service
        instruments = metrics.instruments if metrics is not None else None
        self._shapes = OperationShapes(instruments, answers, peer_names, per_service.unmeasured)
        self._complained = False

    def called(self, call: Call, service: Service, network: NetworkPart | None) -> None:
        """Take a call; `network` is what its span is to tell of the network's part."""
        try:
            self._counts[self._take(call, service, network)] += 1
        except Exception:
            self._counts[_FAILED] += 1
            if not self._complained:
                self._complained = True
                _logger.exception(
                    "an operation could not be made a signal, please report this line; more are only counted"
                )

    def renamed(self) -> None:
        """What peers are called has changed."""
        self._shapes.renamed()

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        self._shapes.forget(service)

    def drop(self, service: Service) -> None:
        """The service's series end: they are not wanted any more."""
        self._shapes.drop(service)

    def _take(self, call: Call, service: Service, network: NetworkPart | None) -> int:
        """Return the entry that the call counts in."""
        shape = self._shapes.of(call, service)
        duration = max(call.end - call.start, 0)
        source = call.context_source
        if self._metrics is not None and service not in self._per_service.unmeasured:
            if shape.durations is not None:
                shape.durations.record(duration / 1e9)
                self._counts[_AGGREGATED] += 1
            if source in UNPARENTED and call.record.vantage.role != _SERVER:
                self._metrics.unparented(service, source)
        if self._emit is None or service in self._per_service.untraced:
            return _SPANS_OFF
        sample = self._per_service.samplers.get(service, self._sample)
        if not sample(call.trace_id, call.parent_id, call.trace_flags, source):
            return _UNSAMPLED
        self._emit(self._span(call, shape, duration, network))
        return _SPAN

    def _span(self, call: Call, shape: OperationShape, duration: int, network: NetworkPart | None) -> Span:
        start = call.start + self._clock()
        parent = b"" if call.parent_id == NO_PARENT else call.parent_id
        remote = bool(parent) and call.context_source & ~_DECIDED not in _LOCAL
        peer, port = NO_ATTRIBUTES, 0
        if shape.peers is not None:
            address, port = call.record.client_address, call.record.client_port
            peer = shape.peers.blocks.get(address) or shape.peers.make(address)
        return Span(
            shape.template, call.trace_id, call.span_id, parent, call.trace_flags & _RANDOM | _SAMPLED,
            remote, start, start + duration, peer, port, (), network,
        )  # fmt: skip
