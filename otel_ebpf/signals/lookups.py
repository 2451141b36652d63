"""Lookups of names: the metric `dns.lookup.duration`, and spans.

A lookup on behalf of a request is a child of that request's span, sampled as it is. Any other is a trace of
its own, where those are wanted.

Books (`Shard`): signal_lookup_seen = _span + _unsampled + _no_span + _discovery + _failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import ContextSource, Lookup
from otel_ebpf.signals import names
from otel_ebpf.signals.answers import Answers
from otel_ebpf.signals.endpoints import address_text
from otel_ebpf.signals.instruments import HistogramSeries, Instrument, Instruments, Kind, NumberSeries
from otel_ebpf.signals.lookup_names import FORWARD, error_of, question_of
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.recent_lookups import RecentLookups
from otel_ebpf.signals.request_metrics import SECONDS_BOUNDS
from otel_ebpf.signals.sampling import NO_PARENT, Sampler
from otel_ebpf.signals.span import NO_ATTRIBUTES, Span, SpanKind, SpanTemplate

__all__ = ["Lookups"]

_logger = logging.getLogger(__name__)

CACHED: Final = 2048
NAME: Final = "DNS lookup"

_SEEN = int(Entry.SIGNAL_LOOKUP_SEEN)
_SPAN = int(Entry.SIGNAL_LOOKUP_SPAN)
_UNSAMPLED = int(Entry.SIGNAL_LOOKUP_UNSAMPLED)
_NO_SPAN = int(Entry.SIGNAL_LOOKUP_NO_SPAN)
_DISCOVERY = int(Entry.SIGNAL_LOOKUP_DISCOVERY)
_FAILED = int(Entry.SIGNAL_LOOKUP_FAILED)

_SERVED = int(ContextSource.SERVED)
_DECIDED = int(ContextSource.DECIDED)
_SAMPLED = 1  # W3C trace flags
_RANDOM = 2


class _Shape(NamedTuple):
    """What lookups of one name by one service have in common, that go the same way."""

    template: SpanTemplate
    duration: HistogramSeries | None


class Lookups:
    """Takes lookups. One thread uses it. Never raises.

    `clock`, `sampler` and `emit` are those of the `SignalStage`; `instruments` None switches the metric off.
    With `all_spans` lookups make spans that belong to no request, too. `answers` and `recent` are told what
    was found.
    """

    def __init__(  # noqa: PLR0917 (as a stage is given them)
        self,
        shard: Shard,
        clock: Callable[[], int],
        sampler: Sampler,
        instruments: Instruments | None,
        emit: Callable[[Span], None] | None,
        all_spans: bool = True,
        answers: Answers | None = None,
        recent: RecentLookups | None = None,
        per_service: PerService | None = None,
    ) -> None:
        self._per_service = per_service or PerService()
        self._counts = shard.counts
        self._clock = clock
        self._sample = sampler.sample
        self._emit = emit
        self._all = all_spans
        self._answers = answers
        self._recent = recent
        self._shapes: dict[tuple[Service, str, str], _Shape] = {}
        self._durations: Instrument[HistogramSeries] | None = None
        self._retries: Instrument[NumberSeries] | None = None
        self._truncations: Instrument[NumberSeries] | None = None
        if instruments is not None:
            self._retries = instruments.number(
                names.DNS_RETRIES, "{question}", "Questions asked again.", Kind.COUNTER
            )
            self._truncations = instruments.number(
                names.DNS_TRUNCATIONS, "{answer}", "Answers that did not fit into a datagram.", Kind.COUNTER
            )
            self._durations = instruments.histogram(
                names.DNS_LOOKUP_DURATION,
                "s",
                "Measures the time taken to perform a DNS lookup.",
                SECONDS_BOUNDS,
            )
        self._complained = False

    def seen(self, record: Lookup, service: Service | None) -> None:
        """Take a lookup; `service` is None where discovery excludes it."""
        counts = self._counts
        counts[_SEEN] += 1
        try:
            counts[self._take(record, service)] += 1
        except Exception:
            counts[_FAILED] += 1
            if not self._complained:
                self._complained = True
                _logger.exception(
                    "a lookup could not be made into a signal, please report this line; more are only counted"
                )

    def forget(self, service: Service) -> None:
        """The service has gone: its series are, too."""
        for key in [one for one in self._shapes if one[0] is service]:
            del self._shapes[key]

    def _take(self, record: Lookup, service: Service | None) -> int:
        """Return the entry that the lookup counts in."""
        if service is None:
            return _DISCOVERY
        if self._answers is not None:
            self._answers.learn(record)
        if self._recent is not None:
            self._recent.learn(record)
        shape = self._shape(service, question_of(record), error_of(record.call, record.result))
        duration = max(record.end - record.time, 0)
        if shape.duration is not None:
            shape.duration.record(duration / 1e9)
        for instrument, number in (
            (self._retries, record.retries),
            (self._truncations, record.truncations),
        ):
            if instrument is not None and number:
                instrument.series(service, _name_server(record)).add(number)
        source = record.context_source
        if self._emit is None or service in self._per_service.untraced:
            return _NO_SPAN
        if not (self._all or source & ~_DECIDED == _SERVED):
            return _NO_SPAN
        sample = self._per_service.samplers.get(service, self._sample)
        if not sample(record.trace_id, record.parent_id, record.trace_flags, source):
            return _UNSAMPLED
        self._emit(self._span(record, shape.template, duration))
        return _SPAN

    def _span(self, record: Lookup, template: SpanTemplate, duration: int) -> Span:
        begun = record.time + self._clock()
        parent = b"" if record.parent_id == NO_PARENT else record.parent_id
        flags = record.trace_flags & _RANDOM | _SAMPLED
        return Span(
            template, record.trace_id, record.span_id, parent, flags, False,
            begun, begun + duration, NO_ATTRIBUTES, 0, _answers(record),
        )  # fmt: skip

    def _shape(self, service: Service, question: str, failed: str) -> _Shape:
        key = (service, question, failed)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= CACHED:
                self._shapes.clear()
            attributes: Attributes = ((names.DNS_QUESTION_NAME, question),)
            if failed:
                attributes += ((names.ERROR_TYPE, failed),)
            title = f"{NAME} {question}" if question else NAME
            template = SpanTemplate(service, int(SpanKind.INTERNAL), title, bool(failed), attributes)
            series = self._durations.series(service, attributes) if self._durations is not None else None
            shape = self._shapes[key] = _Shape(template, series)
        return shape


def _name_server(record: Lookup) -> Attributes:
    """Return who was asked, of the first question."""
    vantage = record.vantage
    return (
        (names.NETWORK_PEER_ADDRESS, address_text(vantage.family, vantage.server_address)),
        (names.NETWORK_PEER_PORT, vantage.server_port),
    )


def _answers(record: Lookup) -> Attributes:
    if record.result or record.call not in FORWARD:
        return ()
    found = tuple(filter(None, (address_text(*one) for one in record.addresses)))
    return ((names.DNS_ANSWERS, found),) if found else ()
