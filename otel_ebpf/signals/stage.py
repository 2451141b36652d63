"""The signals stage: a call comes in, is counted, and leaves as a span if it is sampled.

Hot path. Budget: 2.0 us a call with metrics and span (0.6 of it here).

Books (`Shard`): signal_seen = signal_span + signal_unsampled + signal_spans_off
+ signal_role_unknown + signal_failed; with metrics switched on, signal_aggregated counts beside
these what the metrics have. Connections, TLS handshakes and lookups of names have books of their own
(`connects.py`, `handshakes.py`, `lookups.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from otel_ebpf.identity.model import Service
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.likeness import Again
from otel_ebpf.kernel.records import Capture, Exchange, Piece, Role
from otel_ebpf.protocols.calls import Call, HttpCall
from otel_ebpf.signals.answers import Answers
from otel_ebpf.signals.connects import Connects
from otel_ebpf.signals.handshakes import Handshakes
from otel_ebpf.signals.http import HttpSpans, Plan
from otel_ebpf.signals.lookups import Lookups
from otel_ebpf.signals.operations import Operations
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.recent_lookups import RecentLookups
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.request_metrics import UNPARENTED, RequestMetrics
from otel_ebpf.signals.routes import Routes
from otel_ebpf.signals.sampling import Sampler
from otel_ebpf.signals.span import Span, SpanKind

_logger = logging.getLogger(__name__)

_UNKNOWN = int(Role.UNKNOWN)
_SERVER = int(Role.SERVER)
_CLIENT = int(SpanKind.CLIENT)
_TLS = int(Capture.TLS)
_CONNECTED = int(Capture.CONNECTED)
_FIRST = int(Capture.FIRST)
# An IntEnum member as an index costs a call of __index__.
_SEEN = int(Entry.SIGNAL_SEEN)
_AGGREGATED = int(Entry.SIGNAL_AGGREGATED)
_SPAN = int(Entry.SIGNAL_SPAN)
_UNSAMPLED = int(Entry.SIGNAL_UNSAMPLED)
_SPANS_OFF = int(Entry.SIGNAL_SPANS_OFF)
_ROLE_UNKNOWN = int(Entry.SIGNAL_ROLE_UNKNOWN)
_FAILED = int(Entry.SIGNAL_FAILED)


def _nothing(*_: object) -> None:
    """Stand in for a callback that nobody asked for."""


class Known(NamedTuple):
    """What is kept of an exchange for those that are like it (`kernel.likeness`)."""

    plan: Plan
    request_head: int
    response_head: int
    body_bound: int  # the length that the request's head declares for its body


class SignalStage:
    """Turns calls into metrics and spans. One thread uses it, and `metrics` too.

    `clock` returns Unix time minus CLOCK_BOOTTIME in nanoseconds. `metrics` None switches metrics
    off, `emit` None spans. `emit` takes the spans; it must not block. `rerouted` is called when what was
    `Known` is so no longer: routes that were found before have become others. `handshakes` is to be told
    of TLS handshakes, and of connections that have ended, `lookups` of names that were looked up, of which
    `lookup_spans` says which make spans (`dns.spans`). `network` is whether spans tell of the network's part
    (`traces.network`). `per_service` is what is not the same for all of them. `peer_names` is who answers
    where, if that is to be told.
    """

    def __init__(  # noqa: PLR0917 (a stage is given its neighbours in the order of the way)
        self,
        shard: Shard,
        clock: Callable[[], int],
        sampler: Sampler,
        routes: Routes,
        redaction: Redaction,
        metrics: RequestMetrics | None,
        emit: Callable[[Span], None] | None,
        rerouted: Callable[[], None] = _nothing,
        lookup_spans: str = "all",
        network: bool = True,
        per_service: PerService | None = None,
        peer_names: PeerNames | None = None,
    ) -> None:
        self._per_service = per_service = per_service or PerService()
        self._counts = shard.counts
        self._clock = clock
        self._sample = sampler.sample
        network_metrics = metrics if per_service.measures_network else None
        self.handshakes = Handshakes(shard, clock, sampler, network_metrics, emit, per_service=per_service)
        self._connects = Connects(shard, clock, sampler, emit, per_service)
        self._recent = RecentLookups()
        answers = Answers()
        self.lookups = Lookups(
            shard,
            clock,
            sampler,
            network_metrics.instruments if network_metrics is not None else None,
            emit if lookup_spans != "none" else None,
            lookup_spans == "all",
            answers,
            self._recent,
            per_service,
        )
        self._http = HttpSpans(
            routes,
            redaction,
            rerouted,
            server_names=self.handshakes.server_names,
            answers=answers,
            peer_names=peer_names,
            own_routes=per_service.routes,
        )
        self._operations = Operations(shard, clock, sampler, metrics, emit, answers, per_service, peer_names)
        self._plan = self._http.plan
        self._span = self._http.span
        self._metrics = metrics
        self._emit = emit
        self._network = network
        self._last_lossy: Exchange | Piece | None = None
        self._complained = False

    def call(self, call: Call, service: Service) -> Plan | None:
        """Take one call, and return what it has in common with others, if anything.

        The first call of a connection has nothing, where it is known how that was made (not: accepted), or
        encrypted: each such one is to come this way. Never raises: what goes wrong is counted
        (signal_failed), and logged once.
        """
        counts = self._counts
        counts[_SEEN] += 1
        waited = rtt = rtt_min = retransmits = looked_up = accepted = 0
        try:
            (
                record, value, start, answered, end, _, _,
                trace_id, span_id, parent_id, flags, source,
            ) = call  # fmt: skip
            if record.lost:
                self._lost(record, service)
            if record.vantage.role == _UNKNOWN:
                counts[_ROLE_UNKNOWN] += 1
                return None
            plan = self._plan(call, service)
            if type(record) is Exchange:
                waited, rtt, rtt_min = record.waited, record.rtt, record.rtt_min
                retransmits = record.retransmits
                if record.flags & _CONNECTED and record.vantage.role == _SERVER:
                    accepted = record.connect_end - record.connect_start
                elif record.flags & _CONNECTED:
                    looked_up = self._recent.take(record)
        except Exception:
            counts[_FAILED] += 1
            self._complain()
            return None
        if type(value) is HttpCall and plan is not None:
            itself = Known(plan, 0, 0, value.request_body)
            self._take(
                (
                    (
                        itself, start, answered, end, value.request_body, value.response_body,
                        waited, rtt, rtt_min, retransmits, accepted,
                        record.client_address, record.client_port,
                        trace_id, span_id, parent_id, flags, source,
                    ),
                ),
                looked_up,
            )  # fmt: skip
        else:
            first_byte = answered - start if answered > start else 0
            part = (rtt, rtt_min, first_byte, waited, retransmits, looked_up, accepted)
            self._operations.called(call, service, part if self._network else None)
        made = record.flags & _CONNECTED and not accepted
        if made:
            self._connects.called(call, service)
        if record.flags & _TLS:
            self.handshakes.called(call)
        return None if made or record.flags & _FIRST else plan

    def again(self, alike: Sequence[Again]) -> None:
        """Take exchanges that are like earlier ones, of which `Known` was kept. Never raises either."""
        self._counts[_SEEN] += len(alike)
        self._take(alike)

    def _take(self, alike: Sequence[Again], looked_up: int = 0) -> None:
        """Count each, and make its span. One loop: a call for each step of it would cost as much again.

        `looked_up` is what a lookup took that one of them has waited for, in nanoseconds.
        """
        counts, emit, sample, span_of = self._counts, self._emit, self._sample, self._span
        record = self._metrics.record if self._metrics is not None else None
        unparented = self._metrics.unparented if self._metrics is not None else _nothing
        offset, told, network = self._clock(), self._network, None
        per_service = self._per_service
        untraced, unmeasured, samplers = per_service.untraced, per_service.unmeasured, per_service.samplers
        for (
            known, start, answered, end, request_bytes, response_bytes,
            waited, rtt, rtt_min, retransmits, accepted, address, port,
            trace_id, span_id, parent_id, flags, source,
        ) in alike:  # fmt: skip
            try:
                plan, request_head, response_head, bound = known
                duration = end - start
                if duration < 0:  # noqa: PLR1730 (max() costs a call): nothing came after the first byte
                    duration = 0
                if record is not None and not (unmeasured and plan.shape.service in unmeasured):
                    body = request_bytes - request_head
                    record(
                        plan.shape, duration, body if body < bound else bound, response_bytes - response_head
                    )
                    counts[_AGGREGATED] += 1
                    if source in UNPARENTED and plan.shape.kind == _CLIENT:
                        unparented(plan.shape.service, source)
                if emit is None or (untraced and plan.shape.service in untraced):
                    counts[_SPANS_OFF] += 1
                elif (samplers.get(plan.shape.service, sample) if samplers else sample)(
                    trace_id, parent_id, flags, source
                ):
                    begun = start + offset
                    context = (trace_id, span_id, parent_id, flags, source)
                    if told:
                        first_byte = answered - start if answered > start else 0
                        network = (rtt, rtt_min, first_byte, waited, retransmits, looked_up, accepted)
                    emit(span_of(plan, begun, begun + duration, address, port, context, network))
                    counts[_SPAN] += 1
                else:
                    counts[_UNSAMPLED] += 1
            except Exception:
                counts[_FAILED] += 1
                self._complain()

    def renamed(self) -> None:
        """What peers are called has changed."""
        self._http.renamed()
        self._operations.renamed()

    def renew(self, service: Service) -> None:
        """What `per_service` says of a service is not what it was: of one that is unmeasured, series end."""
        self._http.renew(service)
        self._operations.forget(service)
        if self._metrics is not None and service in self._per_service.unmeasured:
            self._metrics.drop(service)
            self._operations.drop(service)

    def forget(self, service: Service) -> None:
        """The service has gone: drop what is remembered of it, once its metrics are collected."""
        self._http.forget(service)
        self._connects.forget(service)
        self._operations.forget(service)
        self.lookups.forget(service)
        if self._metrics is not None:
            self._metrics.forget(service)

    def _lost(self, record: Exchange | Piece, service: Service) -> None:
        """Count what the connection lost; once for a record, though a piece may hold many calls."""
        measured = self._metrics is not None and service not in self._per_service.unmeasured
        if self._metrics is not None and measured and record is not self._last_lossy:
            self._last_lossy = record
            self._metrics.lost(service, record.lost)

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            _logger.exception(
                "a call could not be made into a signal, please report this line; more are only counted"
            )
