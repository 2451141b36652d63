"""Signals, own aggregation: what the series hold, the cap, and the SDK data types made of a snapshot."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._internal.metrics_encoder import OTLPMetricExporterMixin
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from signals_support import SECOND, service

from otel_ebpf.identity.model import Service
from otel_ebpf.signals.instruments import (
    BATCH,
    OVERFLOW,
    HistogramPoint,
    HistogramSeries,
    Instruments,
    Kind,
    NumberPoint,
    Snapshot,
)
from otel_ebpf.signals.metric_data import resource_metrics, temporality_of

SHOP, CART = service("shop", 1), service("cart", 2)
BOUNDS = (0.0, 1.0, 5.0, 10.0)
GET, PUT = (("m", "GET"),), (("m", "PUT"),)
START = 100 * SECOND


def resource_of(one: Service) -> Resource:
    return Resource(dict(one.resource))


def points(snapshot: Snapshot) -> dict[Any, HistogramPoint | NumberPoint]:
    return {(point.service, point.attributes): point for _, every in snapshot.instruments for point in every}


def data_points(data: MetricsData) -> dict[tuple[str, str, Any], Any]:
    """(service.name, metric, attribute values) -> data point."""
    found = {}
    for one in data.resource_metrics:
        for scope in one.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    key = (
                        str(one.resource.attributes["service.name"]),
                        metric.name,
                        tuple(point.attributes.values()),
                    )
                    assert key not in found, "a series twice"
                    found[key] = point
    return found


@given(st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 20), st.integers(0, 20)), max_size=3 * BATCH))
def test_a_histogram_is_the_sdk_s(values: list[float]) -> None:
    reader = InMemoryMetricReader()
    view = View(instrument_name="h", aggregation=ExplicitBucketHistogramAggregation(BOUNDS))
    theirs = MeterProvider(metric_readers=[reader], views=[view], shutdown_on_exit=False)
    histogram = theirs.get_meter("m").create_histogram("h")
    instruments = Instruments(START)
    series = instruments.histogram("h", "s", "", BOUNDS).series(SHOP, GET)
    for one in values:
        histogram.record(one)
        series.record(one)
    found = data_points(resource_metrics(instruments.collect(START), temporality_of(""), resource_of))
    mine = found["shop", "h", ("GET",)]
    data = reader.get_metrics_data()
    if not values:
        assert mine.count == 0
        return
    assert data is not None
    point = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    assert list(mine.bucket_counts) == list(point.bucket_counts)
    assert (mine.count, mine.min, mine.max) == (point.count, point.min, point.max)
    assert mine.sum == pytest.approx(point.sum)
    assert tuple(mine.explicit_bounds) == tuple(point.explicit_bounds)


def test_numbers() -> None:
    instruments = Instruments(START)
    counter = instruments.number("c", "1", "", Kind.COUNTER).series(SHOP, GET)
    gauge = instruments.number("g", "1", "", Kind.GAUGE).series(SHOP, PUT)
    counter.add(2)
    counter.add(3)
    gauge.set(7)
    gauge.set(4)
    found = points(instruments.collect(START + 1))
    assert found[SHOP, GET].value == 5
    assert found[SHOP, PUT].value == 4


def test_a_snapshot_does_not_change() -> None:
    instruments = Instruments(START)
    series = instruments.histogram("h", "s", "", BOUNDS).series(SHOP, GET)
    series.record(0.5)
    snapshot = instruments.collect(START + 1)
    before = repr(snapshot)
    series.record(7)
    instruments.collect(START + 2)
    assert repr(snapshot) == before


def test_the_cap_is_by_instrument_and_service() -> None:
    instruments = Instruments(START, limit=3)
    one = instruments.histogram("h", "s", "", BOUNDS)
    other = instruments.number("c", "1", "", Kind.COUNTER)
    for number in range(10):
        one.series(SHOP, (("n", number),)).record(1)
        other.series(SHOP, (("n", number),)).add(1)
    one.series(CART, GET).record(1)
    snapshot = instruments.collect(START + 1)
    for _, every in snapshot.instruments:
        own = [point for point in every if point.service is SHOP]
        assert [point.attributes for point in own] == [(("n", 0),), (("n", 1),), OVERFLOW]
    histogram = points(Snapshot(0, snapshot.instruments[:1]))
    counts = {
        key[1]: point.value.counts for key, point in histogram.items() if isinstance(point, HistogramPoint)
    }
    assert sum(counts[OVERFLOW]) == 8, "nothing is lost, only lumped together"
    assert sum(counts[GET]) == 1, "another service has room of its own"
    assert OVERFLOW == (("otel.metric.overflow", True),)
    assert one.series(SHOP, (("n", 0),)) is not one.series(SHOP, (("n", 99),))
    assert one.series(SHOP, (("n", 98),)) is one.series(SHOP, (("n", 99),))


def test_a_cap_of_one_leaves_the_overflow_alone() -> None:
    instrument = Instruments(START, limit=1).number("c", "1", "", Kind.COUNTER)
    assert instrument.series(SHOP, GET) is instrument.series(SHOP, PUT)


def record_and_export(preference: str, kind: Kind) -> list[Any]:
    """Three intervals: 2 and 3; nothing; 4. Returns each interval's data point, None for none."""
    instruments = Instruments(START)
    if kind is Kind.HISTOGRAM:
        record = instruments.histogram("x", "s", "", BOUNDS).series(SHOP, GET).record
    else:
        record = instruments.number("x", "s", "", kind).series(SHOP, GET).add  # type: ignore[assignment]
    found = []
    for number, values in enumerate(((2, 3), (), (4,)), start=1):
        for one in values:
            record(one)
        snapshot = instruments.collect(START + number * SECOND)
        data = resource_metrics(snapshot, temporality_of(preference), resource_of)
        found.append(data_points(data).get(("shop", "x", ("GET",))))
    return found


@pytest.mark.parametrize("preference", ["cumulative", "CUMULATIVE", "", " cumulative "])
def test_cumulative(preference: str) -> None:
    histograms = record_and_export(preference, Kind.HISTOGRAM)
    assert [(one.count, one.sum, one.min, one.max) for one in histograms] == [
        (2, 5, 2, 3),
        (2, 5, 2, 3),
        (3, 9, 2, 4),
    ]
    assert {one.start_time_unix_nano for one in histograms} == {START}
    assert [one.time_unix_nano for one in histograms] == [START + n * SECOND for n in (1, 2, 3)]
    assert [one.value for one in record_and_export(preference, Kind.COUNTER)] == [5, 5, 9]


@pytest.mark.parametrize("preference", ["delta", "DELTA", "lowmemory"])
def test_delta(preference: str) -> None:
    first, none, last = record_and_export(preference, Kind.HISTOGRAM)
    assert none is None
    assert (first.count, first.sum, first.min, first.max) == (2, 5, 2, 3)
    assert (last.count, last.sum, last.min, last.max) == (1, 4, 4, 4)
    assert list(last.bucket_counts) == [0, 0, 1, 0, 0]
    assert (first.start_time_unix_nano, first.time_unix_nano) == (START, START + SECOND)
    assert (last.start_time_unix_nano, last.time_unix_nano) == (START + 2 * SECOND, START + 3 * SECOND)
    first, none, last = record_and_export(preference, Kind.COUNTER)
    assert (first.value, none, last.value) == (5, None, 4)


@pytest.mark.parametrize("preference", ["cumulative", "delta", "lowmemory"])
def test_up_down_sums_and_gauges_are_never_deltas(preference: str) -> None:
    assert [one.value for one in record_and_export(preference, Kind.UP_DOWN_COUNTER)] == [5, 5, 9]
    assert [one.value for one in record_and_export(preference, Kind.GAUGE)] == [5, 5, 9]


def test_an_observed_counter_is_a_delta_only_by_delta() -> None:
    assert [one.value for one in record_and_export("lowmemory", Kind.OBSERVED_COUNTER)] == [5, 5, 9]
    assert record_and_export("delta", Kind.OBSERVED_COUNTER)[2].value == 4


@pytest.mark.parametrize("preference", ["cumulative", "delta", "lowmemory", "nonsense"])
def test_the_temporalities_are_the_exporter_s(
    preference: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    assert temporality_of(preference) == OTLPMetricExporterMixin()._get_temporality({})
    own = [one for one in caplog.records if one.name.startswith("otel_ebpf")]
    assert bool(own) is (preference == "nonsense")


def test_a_new_series_starts_at_the_collection_before_it() -> None:
    instruments = Instruments(START)
    instrument = instruments.histogram("h", "s", "", BOUNDS)
    instruments.collect(START + 10)
    instrument.series(SHOP, GET).record(1)
    point = points(instruments.collect(START + 20))[SHOP, GET]
    assert (point.start, point.previous_time) == (START + 10, START + 10)


def test_a_clock_that_is_set_back_makes_no_negative_interval() -> None:
    instruments = Instruments(START)
    instruments.histogram("h", "s", "", BOUNDS).series(SHOP, GET)
    instruments.collect(START + 10)
    assert instruments.collect(START + 5).time == START + 10


def test_a_forgotten_service_is_collected_once_more() -> None:
    instruments = Instruments(START)
    instrument = instruments.histogram("h", "s", "", BOUNDS)
    instrument.series(SHOP, GET).record(1)
    instrument.series(CART, GET).record(1)
    instruments.forget(SHOP)
    assert {one for one, _ in points(instruments.collect(START + 1))} == {SHOP, CART}
    assert {one for one, _ in points(instruments.collect(START + 2))} == {CART}


def test_forgotten_services_may_be_collected_ahead_of_the_others() -> None:
    instruments = Instruments(START)
    instrument = instruments.histogram("h", "s", "", BOUNDS)
    counter = instruments.number("c", "{x}", "of c", Kind.COUNTER)
    for one in (SHOP, CART):
        instrument.series(one, GET).record(1)
        counter.series(one, GET).add(1)
    instruments.forget(SHOP)
    assert instruments.leaving == 1
    ahead = instruments.collect_leaving(START + 5)
    assert [[point.service for point in found] for _, found in ahead.instruments] == [[SHOP], [SHOP]]
    assert instruments.leaving == 0
    others = instruments.collect(START + 10)
    assert {one for one, _ in points(others)} == {CART}
    assert points(others)[CART, GET].previous_time == START
    assert instruments.collect_leaving(START + 11).instruments[0][1] == ()


def test_what_is_left_for_later_is_told_of_then_or_once_it_is_forgotten() -> None:
    instruments = Instruments(START)
    counter = instruments.number("c", "1", "", Kind.COUNTER)
    for one in (SHOP, CART):
        counter.series(one, GET).add(1)
    assert set(points(instruments.collect(START + 5, {SHOP}))) == {(CART, GET)}
    instruments.forget(SHOP)
    later = points(instruments.collect(START + 10, {SHOP}))
    assert later[SHOP, GET].previous_time == START
    assert set(points(instruments.collect(START + 15))) == {(CART, GET)}


def test_a_forgotten_service_that_is_heard_of_again_stays() -> None:
    instruments = Instruments(START)
    instrument = instruments.histogram("h", "s", "", BOUNDS)
    series = instrument.series(SHOP, GET)
    instruments.forget(SHOP)
    assert instrument.series(SHOP, GET) is series
    instruments.collect(START + 1)
    assert (SHOP, GET) in points(instruments.collect(START + 2))


def test_the_range_of_nothing() -> None:
    point = HistogramSeries(SHOP, GET, BOUNDS, START).collect(START + 1)
    assert point.range == point.interval_range == (inf, -inf)


def test_one_resource_for_each_service_and_equal_ones_together() -> None:
    instruments = Instruments(START)
    histogram, counter = (
        instruments.histogram("h", "s", "of h", BOUNDS),
        instruments.number("c", "{x}", "of c", Kind.COUNTER),
    )
    twin = Service(3, "shop", "python", SHOP.resource)
    for one in (SHOP, CART):
        histogram.series(one, GET).record(1)
        counter.series(one, GET).add(1)
    histogram.series(twin, PUT).record(1)
    data = resource_metrics(instruments.collect(START + 1), temporality_of(""), resource_of)
    assert [one.resource.attributes["service.name"] for one in data.resource_metrics] == ["shop", "cart"]
    assert len(data_points(data)) == 5
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    assert [(one.name, one.unit, one.description) for one in metrics] == [
        ("h", "s", "of h"),
        ("c", "{x}", "of c"),
    ]
    encoded = encode_metrics(data)
    assert len(encoded.resource_metrics) == 2
    assert encoded.resource_metrics[0].scope_metrics[0].scope.name == "otel-ebpf"
    sent = {one.name: one for one in encoded.resource_metrics[0].scope_metrics[0].metrics}
    assert [one.count for one in sent["h"].histogram.data_points] == [1, 1]
    assert sent["h"].histogram.aggregation_temporality == AggregationTemporality.CUMULATIVE
    assert sent["c"].sum.is_monotonic


def test_nothing_measured_is_nothing_sent() -> None:
    instruments = Instruments(START)
    instruments.histogram("h", "s", "", BOUNDS)
    data = resource_metrics(instruments.collect(START + 1), temporality_of("delta"), resource_of)
    assert list(data.resource_metrics) == []
