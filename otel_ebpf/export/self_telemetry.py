"""The agent's own metrics, under its own resource: the ledger, its CPU time, its memory.

`ebpf.ledger.records` has the attributes `stage`, `outcome` and `reason`. The ledger's units
(exchange, piece, span, ...) have books of their own, and adding them up would be wrong: the unit is
part of the stage, as in `kernel.exchange` and `kernel.piece`. An entry without a reason has no such
attribute. What is in flight goes up and down, so it is a sum of its own, of the same name, that is
not monotonic: outcome `in_flight` is never to be added up over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import psutil
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv._incubating.attributes.cpu_attributes import CPU_MODE
from opentelemetry.semconv._incubating.metrics.process_metrics import (
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
)

from otel_ebpf.kernel.ledger import DESCRIPTIONS, Description
from otel_ebpf.signals.scope import SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION

__all__ = ["LEDGER_RECORDS", "SelfTelemetry"]

LEDGER_RECORDS: Final = "ebpf.ledger.records"
_HELP: Final = "What became of everything that could have been reported; the books of each stage balance."
TLS_BINDING: Final = "ebpf.tls.binding"
_TLS_HELP: Final = "TLS sessions, by how their socket was found and what came of it."
_Key = tuple[tuple[str, str], ...]
_Values = Mapping[_Key, float]
TRACE_INJECTED: Final = "ebpf.trace.injected"
_INJECTED_HELP: Final = "Requests that traceparent was to be written into, by what came of it."
_NO_INJECTED: Final[Mapping[str, int]] = MappingProxyType({})
_NO_BINDINGS: Final[Mapping[tuple[str, str], int]] = MappingProxyType({})


def ledger_attributes(description: Description) -> tuple[tuple[str, str], ...]:
    """Return the attributes under which an entry is exported; no two entries have the same."""
    stage = f"{description.stage}.{description.unit}"
    found = (("stage", stage), ("outcome", description.outcome))
    return (*found, ("reason", description.reason)) if description.reason else found


class SelfTelemetry:
    """Turns the ledger's totals and the process's own use of the machine into MetricsData."""

    def __init__(
        self,
        resource: Mapping[str, str | int | float | bool | Sequence[str]],
        start: int,
        delta: bool = False,
    ) -> None:
        """`resource` is the agent's own, with `service.name`; `start` is Unix nanoseconds.

        `delta` makes the monotonic sums those of the interval since the last `collect`
        (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE); others are cumulative always.
        """
        self._resource = Resource(dict(resource), SCHEMA_URL)
        self._scope = InstrumentationScope(SCOPE_NAME, SCOPE_VERSION, SCHEMA_URL)
        self._start = start
        self._since = start
        self._delta = delta
        self._before: dict[str, _Values] = {}
        self._process = psutil.Process()

    def collect(
        self,
        totals: Sequence[int],
        now: int,
        bindings: Mapping[tuple[str, str], int] = _NO_BINDINGS,
        injected: Mapping[str, int] = _NO_INJECTED,
    ) -> MetricsData:
        """Return the metrics at `now`, Unix nanoseconds; `totals` is indexed by `kernel.ledger.Entry`.

        `bindings` is the number of TLS sessions by method and outcome, `injected` that of requests by
        what came of writing a context into them.
        """
        counted: dict[_Key, float] = {}
        in_flight: dict[_Key, float] = {}
        for description, total in zip(DESCRIPTIONS, totals, strict=True):
            into = in_flight if description.outcome == "in_flight" else counted
            into[ledger_attributes(description)] = total
        cpu = self._process.cpu_times()
        spent: dict[_Key, float] = {((CPU_MODE, "user"),): cpu.user, ((CPU_MODE, "system"),): cpu.system}
        memory: dict[_Key, float] = {(): self._process.memory_info().rss}
        metrics = [
            self._counter(LEDGER_RECORDS, "{record}", _HELP, counted, now),
            self._gauge(LEDGER_RECORDS, "{record}", _HELP, in_flight, now),
            self._counter(PROCESS_CPU_TIME, "s", "CPU time of the agent.", spent, now),
            self._gauge(PROCESS_MEMORY_USAGE, "By", "Resident memory of the agent.", memory, now),
        ]
        if bound := _bindings(bindings):
            metrics.append(self._counter(TLS_BINDING, "{session}", _TLS_HELP, bound, now))
        written: dict[_Key, float]
        written = {(("outcome", outcome),): total for outcome, total in injected.items() if total}
        if written:
            metrics.append(self._counter(TRACE_INJECTED, "{request}", _INJECTED_HELP, written, now))
        self._since = now
        scope = ScopeMetrics(self._scope, metrics, SCHEMA_URL)
        return MetricsData([ResourceMetrics(self._resource, [scope], SCHEMA_URL)])

    def _counter(self, name: str, unit: str, text: str, values: _Values, now: int) -> Metric:
        if not self._delta:
            cumulative = AggregationTemporality.CUMULATIVE
            return Metric(name, text, unit, Sum(_points(values, self._start, now), cumulative, True))
        before = self._before.get(name, {})
        self._before[name] = values
        grown = {key: value - before.get(key, 0) for key, value in values.items()}
        return Metric(
            name, text, unit, Sum(_points(grown, self._since, now), AggregationTemporality.DELTA, True)
        )

    def _gauge(self, name: str, unit: str, text: str, values: _Values, now: int) -> Metric:
        points = _points(values, self._start, now)
        return Metric(name, text, unit, Sum(points, AggregationTemporality.CUMULATIVE, False))


def _bindings(bindings: Mapping[tuple[str, str], int]) -> _Values:
    return {
        (("method", method), ("outcome", outcome)): total
        for (method, outcome), total in bindings.items()
        if total
    }


def _points(values: _Values, start: int, now: int) -> list[NumberDataPoint]:
    return [NumberDataPoint(dict(key), start, now, value) for key, value in values.items()]
