"""Layer: unit. Metrics: encoded by service, sent with the same rules as spans, counted."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
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

from otel_ebpf.export.books import POINTS
from otel_ebpf.export.metrics import MetricQueue, count_points
from otel_ebpf.export.pipeline import build
from otel_ebpf.export.settings import ExportSettings, OtlpSettings, QueueSettings
from otel_ebpf.kernel.ledger import Ledger
from tests.export_samples import balance, closed_port, columns_of
from tests.otlp_receiver import Answer, OtlpReceiver, decode_metrics
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("quick_backoff")

CUMULATIVE = AggregationTemporality.CUMULATIVE
SCOPE = InstrumentationScope("otel-ebpf", "1")


def resource_metrics(service: str, points: int = 3, bad: bool = False) -> ResourceMetrics:
    numbers = [NumberDataPoint({"n": n}, 1, 2, n) for n in range(points - 1)]
    histogram = HistogramDataPoint({"http.route": "/x"}, 1, 2, 4, 1.5, [1, 3], [0.1], 0.01, 1.0)
    metrics = [
        Metric("requests", "Requests.", "{request}", Sum(numbers, CUMULATIVE, True)),
        Metric("duration", "Duration.", "s", Histogram([histogram], CUMULATIVE)),
    ]
    if bad:
        metrics.append(Metric("bad", "", "", cast("Any", Sum([cast("Any", "no point")], CUMULATIVE, True))))
    return ResourceMetrics(Resource({"service.name": service}), [ScopeMetrics(SCOPE, metrics, "")], "")


def data(*services: str, points: int = 3) -> MetricsData:
    return MetricsData([resource_metrics(service, points) for service in services])


def send(otlp: OtlpSettings, until: dict[str, int], *what: MetricsData, age: float = 300.0) -> Ledger:
    ledger = Ledger()
    queue = QueueSettings(age=age)
    pipeline = build(
        ExportSettings(traces=(), metrics=("otlp",), metrics_otlp=otlp, queue=queue), ledger.shard
    )
    pipeline.start()
    for one in what:
        pipeline.metrics(one)
    wait_for(lambda: columns_of(ledger, POINTS) == until, lambda: columns_of(ledger, POINTS))
    pipeline.stop()
    assert balance(ledger, POINTS) == until
    return ledger


@pytest.fixture(params=["grpc", "http/protobuf"])
def otlp(request: pytest.FixtureRequest, receiver: OtlpReceiver) -> OtlpSettings:
    if request.param == "grpc":
        return OtlpSettings(receiver.grpc_endpoint, "grpc")
    return OtlpSettings(receiver.http_endpoint + "/v1/metrics", "http/protobuf")


def test_metrics_arrive_whole(otlp: OtlpSettings, receiver: OtlpReceiver) -> None:
    send(otlp, {"passed": 6}, data("shop", "cart"))
    metrics = receiver.metrics()
    assert [(metric.resource["service.name"], metric.name) for metric in metrics] == [
        ("shop", "requests"),
        ("shop", "duration"),
        ("cart", "requests"),
        ("cart", "duration"),
    ]
    duration = receiver.metrics("duration")[0].points[0]
    assert (duration.count, duration.sum, duration.bounds, duration.buckets) == (4, 1.5, (0.1,), (1, 3))
    assert [point.value for point in receiver.metrics("requests")[0].points] == [0, 1]


def test_partial_success(
    otlp: OtlpSettings, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = Answer(rejected=2, message="too old")
    send(otlp, {"passed": 4, "rejected": 2}, data("shop", "cart"))
    assert "too old" in caplog.text


def test_retried(otlp: OtlpSettings, receiver: OtlpReceiver) -> None:
    receiver.answers.append(Answer(grpc="UNAVAILABLE", http=503))
    send(otlp, {"passed": 3}, data("shop"))
    assert len(receiver.requests()) == 2


def test_refused(otlp: OtlpSettings, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answer = Answer(grpc="INVALID_ARGUMENT", http=400, message="bad unit")
    send(otlp, {"failed": 3}, data("shop"))
    assert "3 metric data points were refused" in caplog.text
    assert "bad unit" in caplog.text


def test_garbage(otlp: OtlpSettings, receiver: OtlpReceiver) -> None:
    receiver.answer = Answer(body=b"\xff\xff")
    send(otlp, {"failed": 3}, data("shop"))


def test_a_backend_that_is_away() -> None:
    with closed_port() as port:
        send(OtlpSettings(f"http://localhost:{port}"), {"expired": 6}, data("shop"), data("cart"), age=0.5)


def test_one_service_that_cannot_be_encoded_does_not_take_the_others(
    otlp: OtlpSettings, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    bad = MetricsData([resource_metrics("shop"), resource_metrics("bad", bad=True), resource_metrics("cart")])
    send(otlp, {"passed": 6, "failed": 4}, bad)
    assert {metric.resource["service.name"] for metric in receiver.metrics()} == {"shop", "cart"}
    assert "could not be encoded" in caplog.text


def test_requests_are_bounded_and_lose_nothing() -> None:
    ledger = Ledger()
    queue = MetricQueue(2000, ledger.shard())
    queue.put(data(*(f"s{number}" for number in range(30)), points=11))
    bodies = []
    while (batch := queue.take(partial=False)) is not None:
        bodies.append(batch.body)
        queue.release(batch)
    assert len(bodies) > 5
    assert max(map(len, bodies)) <= 2000
    names = [metric.resource["service.name"] for body in bodies for metric in decode_metrics(body)]
    assert names[::2] == [f"s{number}" for number in range(30)]
    assert queue._waiting == 0


def test_a_full_queue_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    queue = MetricQueue(1 << 20, ledger.shard(), points=7)
    with caplog.at_level(logging.WARNING):
        queue.put(data("a", "b", "c"))
    assert balance(ledger, POINTS) == {"queue_full": 3, "in_flight": 6}
    assert "queue is full: 3 metric data points dropped" in caplog.text
    batch = queue.take(partial=False)
    assert batch is not None
    queue.release(batch)
    queue.put(data("d"))
    assert balance(ledger, POINTS)["queue_full"] == 3


def test_what_is_left_at_the_end() -> None:
    ledger = Ledger()
    queue = MetricQueue(400, ledger.shard())
    queue.put(data("a", "b", "c"))
    first = queue.take(partial=False)
    assert first is not None
    assert queue.discard() + first.items == 9
    queue.put(data("d"))
    assert ledger.totals()[POINTS.shutdown] == 3
    assert queue.take(partial=False) is None


def test_what_is_not_sent_at_the_stop_is_lost_to_the_shutdown() -> None:
    ledger = Ledger()
    with closed_port() as port:
        otlp = OtlpSettings(f"http://localhost:{port}")
        pipeline = build(ExportSettings(traces=(), metrics=("otlp",), metrics_otlp=otlp), ledger.shard)
        pipeline.metrics(data("shop", "cart"))
        pipeline.stop(0.1)
    assert balance(ledger, POINTS) == {"shutdown": 6}


def test_points_are_counted() -> None:
    assert count_points(data("a", "b", points=5).resource_metrics) == 10


def test_what_cannot_be_encoded_gives_its_room_back() -> None:
    ledger = Ledger()
    queue = MetricQueue(1 << 20, ledger.shard(), points=4)
    for _ in range(3):
        queue.put(MetricsData([resource_metrics("bad", bad=True)]))
        assert queue.take(partial=False) is None
    assert balance(ledger, POINTS) == {"failed": 12}
