"""The agent's own metrics, under its own resource: the ledger, its queues and probes, what it takes.

`ebpf.ledger.records` has the attributes `stage`, `outcome` and `reason`. The ledger's units
(exchange, piece, span, ...) have books of their own, and adding them up would be wrong: the unit is
part of the stage, as in `kernel.exchange` and `kernel.piece`. An entry without a reason has no such
attribute. What is in flight goes up and down, so it is a sum of its own, of the same name, that is
not monotonic: outcome `in_flight` is never to be added up over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

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
from opentelemetry.semconv._incubating.attributes.otel_attributes import (
    OTEL_COMPONENT_NAME,
    OTEL_COMPONENT_TYPE,
    OtelComponentTypeValues,
)
from opentelemetry.semconv._incubating.metrics.otel_metrics import (
    OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY,
    OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
)
from opentelemetry.semconv._incubating.metrics.process_metrics import (
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
)

from otel_ebpf.export.books import POINTS, SPANS
from otel_ebpf.export.own import Level, Own
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Description
from otel_ebpf.signals.scope import SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION

__all__ = ["LEDGER_RECORDS", "OWN_METRICS", "OwnMetric", "SelfTelemetry"]

LEDGER_RECORDS: Final = "ebpf.ledger.records"
_Key = tuple[tuple[str, str], ...]
_Values = Mapping[_Key, float]


_Words = TypeVar("_Words", bound=tuple[str, ...])


class OwnMetric(NamedTuple):
    """One of the agent's own metrics: a sum, which only ever grows where it is `monotonic`."""

    name: str
    unit: str
    description: str
    monotonic: bool
    attributes: tuple[str, ...] = ()


_LEDGER_HELP: Final = (
    "What became of everything that could have been reported; the books of each stage balance."
)
_LEDGER: Final = OwnMetric(LEDGER_RECORDS, "{record}", _LEDGER_HELP, True, ("stage", "outcome", "reason"))
_IN_FLIGHT: Final = OwnMetric(LEDGER_RECORDS, "{record}", _LEDGER_HELP, False, _LEDGER.attributes)
_CPU: Final = OwnMetric(PROCESS_CPU_TIME, "s", "CPU time of the agent.", True, (CPU_MODE,))
_MEMORY: Final = OwnMetric(PROCESS_MEMORY_USAGE, "By", "Resident memory of the agent.", False)
_COMPONENT: Final = (OTEL_COMPONENT_NAME, OTEL_COMPONENT_TYPE)
_SPANS_QUEUED: Final = OwnMetric(
    OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE, "{span}", "Spans that wait to be sent.", False, _COMPONENT
)
_SPANS_ROOM: Final = OwnMetric(
    OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY, "{span}", "Spans that may wait to be sent.", False, _COMPONENT
)
_POINTS_QUEUED: Final = OwnMetric(
    "ebpf.metric_data_point.queue.size",
    "{data_point}",
    "Data points of metrics that wait to be sent, or are being sent.",
    False,
)
_POINTS_ROOM: Final = OwnMetric(
    "ebpf.metric_data_point.queue.capacity", "{data_point}", "Data points that may wait to be sent.", False
)
_PROBES: Final = OwnMetric(
    "ebpf.probe.attached",
    "{probe}",
    "Probes that are attached: hooks in the kernel, and places in files.",
    False,
    ("capability", "kind"),
)
_FAILURES: Final = OwnMetric(
    "ebpf.probe.attach.failures",
    "{failure}",
    "What could not be attached: ways in the kernel that were tried, and files.",
    True,
    ("capability", "kind", "reason"),
)
_RUN_TIME: Final = OwnMetric(
    "ebpf.program.run.time",
    "s",
    "Time that BPF programs took, with telemetry.bpf_statistics.",
    True,
    ("program",),
)
_RUNS: Final = OwnMetric(
    "ebpf.program.runs", "{run}", "How often they ran, with telemetry.bpf_statistics.", True, ("program",)
)
_BINDINGS: Final = OwnMetric(
    "ebpf.tls.binding",
    "{session}",
    "TLS sessions, by how their socket was found and what came of it.",
    True,
    ("method", "outcome"),
)
_INJECTED: Final = OwnMetric(
    "ebpf.trace.injected",
    "{request}",
    "Requests that traceparent was to be written into, by what came of it.",
    True,
    ("outcome",),
)
OWN_METRICS: Final = (
    *(_LEDGER, _IN_FLIGHT, _CPU, _MEMORY, _SPANS_QUEUED, _SPANS_ROOM, _POINTS_QUEUED, _POINTS_ROOM),
    *(_PROBES, _FAILURES, _RUN_TIME, _RUNS, _BINDINGS, _INJECTED),
)
"""In the order in which they are exported."""

_QUEUES: Final = {SPANS.unit: (_SPANS_QUEUED, _SPANS_ROOM), POINTS.unit: (_POINTS_QUEUED, _POINTS_ROOM)}
_PROCESSOR: Final = OtelComponentTypeValues.BATCHING_SPAN_PROCESSOR.value
_COMPONENTS: Final[Mapping[str, _Key]] = {
    SPANS.unit: ((OTEL_COMPONENT_NAME, f"{_PROCESSOR}/0"), (OTEL_COMPONENT_TYPE, _PROCESSOR)),
    POINTS.unit: (),
}


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
        self._before: dict[OwnMetric, _Values] = {}
        self._process = psutil.Process()

    def collect(self, own: Own, now: int) -> MetricsData:
        """Return the metrics at `now`, Unix nanoseconds. What there is nothing of is left out."""
        values = {**_ledger(own.totals), **self._taken(), **_queues(own.queues)}
        values[_PROBES] = _keyed(_PROBES, own.probes.attached)
        values[_FAILURES] = _keyed(_FAILURES, own.probes.failures)
        ran = {(("program", name),): runs for name, runs in own.runs.items() if runs.number}
        values[_RUN_TIME] = {key: runs.nanoseconds / 1e9 for key, runs in ran.items()}
        values[_RUNS] = {key: runs.number for key, runs in ran.items()}
        values[_BINDINGS] = _keyed(_BINDINGS, own.bindings)
        values[_INJECTED] = _keyed(_INJECTED, {(outcome,): total for outcome, total in own.injected.items()})
        metrics = [self._metric(one, values[one], now) for one in OWN_METRICS if values.get(one)]
        self._since = now
        scope = ScopeMetrics(self._scope, metrics, SCHEMA_URL)
        return MetricsData([ResourceMetrics(self._resource, [scope], SCHEMA_URL)])

    def _taken(self) -> dict[OwnMetric, _Values]:
        try:
            cpu, memory = self._process.cpu_times(), self._process.memory_info()
        except OSError:  # as many files are open as may be: all else is in memory, and may say why
            return {}
        return {
            _CPU: {((CPU_MODE, "user"),): cpu.user, ((CPU_MODE, "system"),): cpu.system},
            _MEMORY: {(): memory.rss},
        }

    def _metric(self, metric: OwnMetric, values: _Values, now: int) -> Metric:
        start, temporality = self._start, AggregationTemporality.CUMULATIVE
        if self._delta and metric.monotonic:
            before = self._before.get(metric, {})
            self._before[metric] = values
            values = {key: value - before.get(key, 0) for key, value in values.items()}
            start, temporality = self._since, AggregationTemporality.DELTA
        points = [NumberDataPoint(dict(key), start, now, value) for key, value in values.items()]
        return Metric(
            metric.name, metric.description, metric.unit, Sum(points, temporality, metric.monotonic)
        )


def _ledger(totals: Sequence[int]) -> dict[OwnMetric, _Values]:
    counted: dict[_Key, float] = {}
    in_flight: dict[_Key, float] = {}
    for description, total in zip(DESCRIPTIONS, totals, strict=True):
        into = in_flight if description.outcome == "in_flight" else counted
        into[ledger_attributes(description)] = total
    return {_LEDGER: counted, _IN_FLIGHT: in_flight}


def _queues(queues: Mapping[str, Level]) -> dict[OwnMetric, _Values]:
    values: dict[OwnMetric, _Values] = {}
    for unit, level in queues.items():
        size, capacity = _QUEUES[unit]
        values[size], values[capacity] = {_COMPONENTS[unit]: level.size}, {_COMPONENTS[unit]: level.capacity}
    return values


def _keyed(metric: OwnMetric, counted: Mapping[_Words, int]) -> _Values:
    """Name the parts of the keys by the metric's attributes; what never was is left out."""
    return {
        tuple(zip(metric.attributes, key, strict=True)): total
        for key, total in counted.items()
        if total or not metric.monotonic
    }
