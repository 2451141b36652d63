"""Signals, request metrics: names, units, attributes and exact counts."""

from __future__ import annotations

from typing import Any

import pytest
from signals_support import CLIENT, SECOND, SERVER, Bench, call, record, service, value

from otel_ebpf.kernel.records import ContextSource
from otel_ebpf.protocols.calls import Call
from otel_ebpf.signals.http import HttpSpans
from otel_ebpf.signals.http_shape import active_attributes
from otel_ebpf.signals.instruments import HistogramPoint, Instruments
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.request_metrics import BYTES_BOUNDS, LOST, RequestMetrics
from otel_ebpf.signals.routes import Routes

SHOP = service()
THE_14 = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def collected(calls: list[Call], **options: bool) -> tuple[RequestMetrics, dict[str, list[Any]]]:
    metrics = RequestMetrics(Instruments(SECOND), **options)
    spans = HttpSpans(Routes(), Redaction(), lambda: None)
    for one in calls:
        plan = spans.plan(one, SHOP)
        metrics.record(plan.shape, one.end - one.start, one.value.request_body, one.value.response_body)
    return metrics, by_name(metrics)


def by_name(metrics: RequestMetrics) -> dict[str, list[Any]]:
    snapshot = metrics.instruments.collect(2 * SECOND)
    return {descriptor.name: list(points) for descriptor, points in snapshot.instruments if points}


@pytest.mark.parametrize(("role", "side"), [(SERVER, "server"), (CLIENT, "client")])
def test_names_and_attributes(role: int, side: str) -> None:
    http = value(path="/users/7", status=503, request_body=5, response_body=100)
    _, found = collected([call(http, record(role=role))])
    assert set(found) == {
        f"http.{side}.request.duration",
        f"http.{side}.request.body.size",
        f"http.{side}.response.body.size",
    }
    expected: dict[str, Any] = {
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "error.type": "503",
        "network.protocol.version": "1.1",
    }
    if role == SERVER:
        expected |= {"url.scheme": "http", "http.route": "/users/{id}"}
    else:
        expected |= {"server.address": "shop.example", "server.port": 8080}
    for (point,) in found.values():
        assert dict(point.attributes) == expected


def test_requests_without_a_parent_are_counted_of_those_who_serve() -> None:
    bench, other = Bench(), service("edge", 2)
    asked = call(of=record(role=CLIENT))
    bench.stage.call(asked, SHOP)
    bench.stage.call(asked, other)
    bench.stage.call(call(of=record(role=SERVER)), SHOP)
    for source in ContextSource:
        bench.stage.call(asked._replace(context_source=int(source)), SHOP)
        bench.stage.call(asked._replace(context_source=int(source)), other)
    assert bench.metrics is not None
    points = by_name(bench.metrics)["ebpf.trace.unparented"]
    assert [point.value for point in points] == [1, 1, 1]
    reasons = [dict(point.attributes)["reason"] for point in points]
    assert sorted(reasons) == ["ambiguous", "answered", "unknown"]
    assert {dict(point.attributes)["runtime"] for point in points} == {"python"}


def test_units_and_bounds() -> None:
    metrics = RequestMetrics(Instruments(0))
    for descriptor, _ in metrics.instruments.collect(1).instruments:
        if descriptor.name.endswith("duration"):
            assert (descriptor.unit, list(descriptor.bounds)) == ("s", THE_14)
        elif descriptor.name.endswith("body.size"):
            assert (descriptor.unit, descriptor.bounds) == ("By", BYTES_BOUNDS)
        else:
            assert descriptor.bounds == ()
    assert list(BYTES_BOUNDS) == sorted(set(BYTES_BOUNDS))


def test_durations_are_seconds() -> None:
    _, found = collected([call(start=SECOND, end=SECOND + 12_500_000)])
    (point,) = found["http.server.request.duration"]
    assert point.value.total == 0.0125
    assert point.value.counts[2] == 1  # over 10 ms, at most 25 ms


def test_every_call_is_counted_in_its_bucket() -> None:
    calls = [call(start=0, end=number * 1_000_000) for number in range(1, 1001)]
    _, found = collected(calls)
    (point,) = found["http.server.request.duration"]
    assert point.value.counts == (5, 5, 15, 25, 25, 25, 150, 250, 250, 250, 0, 0, 0, 0, 0)
    assert point.value.total == pytest.approx(500.5)


def test_unknown_body_sizes_are_not_counted() -> None:
    _, found = collected([call(value(request_body=-1, response_body=0)), call(value(request_body=70))])
    (sizes,) = found["http.server.request.body.size"]
    assert isinstance(sizes, HistogramPoint)
    assert sum(sizes.value.counts) == 1
    assert sizes.value.total == 70
    (sizes,) = found["http.server.response.body.size"]
    assert sizes.value.counts[:2] == (1, 1)


def test_body_sizes_switched_off() -> None:
    _, found = collected([call()], body_sizes=False)
    assert set(found) == {"http.server.request.duration"}


def test_hosts_that_a_server_is_called_by_make_no_series() -> None:
    _, found = collected([call(value(host=f"host{number}")) for number in range(50)])
    (point,) = found["http.server.request.duration"]
    assert sum(point.value.counts) == 50


def test_active_requests_are_what_the_last_walk_found() -> None:
    metrics = RequestMetrics(Instruments(0))
    get, put = (("http.request.method", "GET"),), (("http.request.method", "PUT"),)
    metrics.begin_active()
    metrics.set_active(SHOP, get, 3)
    metrics.set_active(SHOP, put, 1)
    values = {point.attributes: point.value for point in by_name(metrics)["http.server.active_requests"]}
    assert values == {get: 3, put: 1}
    metrics.begin_active()
    metrics.set_active(SHOP, put, 2)
    values = {point.attributes: point.value for point in by_name(metrics)["http.server.active_requests"]}
    assert values == {get: 0, put: 2}


def test_active_requests_switched_off() -> None:
    metrics = RequestMetrics(Instruments(0), active_requests=False)
    metrics.set_active(SHOP, (), 3)
    assert not by_name(metrics)


def test_lost_records_are_a_counter_of_their_own() -> None:
    metrics = RequestMetrics(Instruments(0))
    metrics.lost(SHOP, 2)
    metrics.lost(SHOP, 3)
    (point,) = by_name(metrics)["ebpf.ledger.records"]
    assert (point.service, point.attributes, point.value) == (SHOP, LOST, 5)


def test_protocols_that_are_not_read_are_counted_by_service() -> None:
    metrics = RequestMetrics(Instruments(0))
    metrics.unsupported(SHOP, "http2")
    metrics.unsupported(SHOP, "http2")
    (point,) = by_name(metrics)["ebpf.ledger.records"]
    assert point.value == 2
    assert dict(point.attributes) == {
        "stage": "protocol",
        "outcome": "filtered",
        "reason": "unsupported_protocol",
        "network.protocol.name": "http2",
    }


def test_the_series_go_with_the_service() -> None:
    metrics, found = collected([call()])
    assert found
    metrics.forget(SHOP)
    assert by_name(metrics)
    assert not by_name(metrics)


def test_active_attributes_are_of_the_method_alone():
    assert dict(active_attributes(b"GET /a H")) == {"http.request.method": "GET", "url.scheme": "http"}
    assert dict(active_attributes(b"OPTIONS "))["http.request.method"] == "OPTIONS"
    assert dict(active_attributes(b"\xff\xff HTTP"))["http.request.method"] == "_OTHER"
