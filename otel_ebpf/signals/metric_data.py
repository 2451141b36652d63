"""A snapshot as the SDK's metric data types, for any of its metric exporters.

Runs on the exporter's thread, once for each export; stateless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from operator import sub

from opentelemetry.sdk.metrics import (
    Counter,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ebpf.identity.model import Service
from otel_ebpf.signals.instruments import Descriptor, HistogramPoint, Kind, NumberPoint, Snapshot
from otel_ebpf.signals.scope import SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION

Temporality = Mapping[type, AggregationTemporality]
"""By SDK instrument class, as `MetricExporter._preferred_temporality` has it."""

_logger = logging.getLogger(__name__)

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_DELTA = AggregationTemporality.DELTA

_SDK_CLASS: Mapping[Kind, type] = {
    Kind.HISTOGRAM: HistogramInstrument,
    Kind.COUNTER: Counter,
    Kind.OBSERVED_COUNTER: ObservableCounter,
    Kind.UP_DOWN_COUNTER: UpDownCounter,
    Kind.GAUGE: ObservableGauge,
}

_DELTA_CLASSES: Mapping[str, frozenset[type]] = {
    "cumulative": frozenset(),
    "delta": frozenset({Counter, HistogramInstrument, ObservableCounter}),
    "lowmemory": frozenset({Counter, HistogramInstrument}),
}

_CLASSES: tuple[type, ...] = (
    Counter,
    UpDownCounter,
    HistogramInstrument,
    ObservableCounter,
    ObservableUpDownCounter,
    ObservableGauge,
)


def temporality_of(preference: str) -> Temporality:
    """Return the temporality of each instrument class by OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.

    Any case; empty is cumulative; an unknown value is cumulative too, with a warning.
    """
    name = preference.strip().lower() or "cumulative"
    delta = _DELTA_CLASSES.get(name)
    if delta is None:
        _logger.warning(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is %r, which is none of %s: using cumulative",
            preference,
            ", ".join(_DELTA_CLASSES),
        )
        delta = _DELTA_CLASSES["cumulative"]
    return {one: _DELTA if one in delta else _CUMULATIVE for one in _CLASSES}


def resource_of(service: Service) -> Resource:
    """Return the service's resource as the SDK has it."""
    return Resource(dict(service.resource), SCHEMA_URL)


def resource_metrics(
    snapshot: Snapshot, temporality: Temporality, resource_of: Callable[[Service], Resource]
) -> MetricsData:
    """Return `snapshot` as one ResourceMetrics for each service that has data points.

    In delta temporality a series without measurements in the interval has no data point.
    Services whose resources are equal share one ResourceMetrics.
    """
    resources: dict[Service, Resource] = {}
    metrics: dict[Resource, list[Metric]] = {}
    for descriptor, points in snapshot.instruments:
        by_service: dict[Service, list[HistogramPoint | NumberPoint]] = {}
        for point in points:
            by_service.setdefault(point.service, []).append(point)
        by_resource: dict[Resource, list[HistogramPoint | NumberPoint]] = {}
        for service, own in by_service.items():
            if service not in resources:
                resources[service] = resource_of(service)
            by_resource.setdefault(resources[service], []).extend(own)
        kind = temporality.get(_SDK_CLASS[descriptor.kind], _CUMULATIVE)
        for resource, own in by_resource.items():
            metric = _metric(descriptor, own, kind, snapshot.time)
            if metric is not None:
                metrics.setdefault(resource, []).append(metric)
    scope = InstrumentationScope(SCOPE_NAME, SCOPE_VERSION, SCHEMA_URL)
    return MetricsData(
        [
            ResourceMetrics(resource, [ScopeMetrics(scope, own, SCHEMA_URL)], resource.schema_url)
            for resource, own in metrics.items()
        ]
    )


def _metric(
    descriptor: Descriptor,
    points: Iterable[HistogramPoint | NumberPoint],
    temporality: AggregationTemporality,
    now: int,
) -> Metric | None:
    delta = temporality is _DELTA
    data: Histogram | Sum | Gauge
    if descriptor.kind is Kind.HISTOGRAM:
        histograms = [
            _histogram(point, descriptor, delta, now)
            for point in points
            if isinstance(point, HistogramPoint)
            and not (delta and point.value.counts == point.previous.counts)
        ]
        data = Histogram(histograms, temporality)
    else:
        numbers = [
            _number(point, delta, now)
            for point in points
            if isinstance(point, NumberPoint) and not (delta and point.value == point.previous)
        ]
        monotonic = descriptor.kind in (Kind.COUNTER, Kind.OBSERVED_COUNTER)
        data = Gauge(numbers) if descriptor.kind is Kind.GAUGE else Sum(numbers, temporality, monotonic)
    if not data.data_points:
        return None
    return Metric(descriptor.name, descriptor.description, descriptor.unit, data)


def _histogram(point: HistogramPoint, descriptor: Descriptor, delta: bool, now: int) -> HistogramDataPoint:
    counts, total = point.value
    low, high = point.interval_range if delta else point.range
    if delta:
        counts = tuple(map(sub, counts, point.previous.counts))
        total -= point.previous.total
    return HistogramDataPoint(
        attributes=dict(point.attributes),
        start_time_unix_nano=point.previous_time if delta else point.start,
        time_unix_nano=now,
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=descriptor.bounds,
        min=low,
        max=high,
    )


def _number(point: NumberPoint, delta: bool, now: int) -> NumberDataPoint:
    return NumberDataPoint(
        attributes=dict(point.attributes),
        start_time_unix_nano=point.previous_time if delta else point.start,
        time_unix_nano=now,
        value=point.value - point.previous if delta else point.value,
    )
