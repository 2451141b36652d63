"""Layer: unit. The agent's own metrics, as a receiver decodes them."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from otel_ebpf.export.own import Own
from otel_ebpf.export.self_telemetry import LEDGER_RECORDS, SelfTelemetry, ledger_attributes
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Entry
from tests.no_more_files import no_more_files
from tests.otlp_receiver import Point, ReceivedMetric, decode_metrics

RESOURCE = {"service.name": "otel-ebpf", "service.version": "1"}
START, FIRST, SECOND = 1_000, 2_000, 3_000


def collect(telemetry: SelfTelemetry, totals: list[int], now: int) -> list[ReceivedMetric]:
    return decode_metrics(encode_metrics(telemetry.collect(Own(totals), now)).SerializeToString())


def point(metrics: list[ReceivedMetric], entry: Entry) -> Point:
    wanted = dict(ledger_attributes(DESCRIPTIONS[entry]))
    (found,) = [
        one
        for metric in metrics
        if metric.name == LEDGER_RECORDS
        for one in metric.points
        if one.attributes == wanted
    ]
    return found


def test_each_entry_has_attributes_of_its_own() -> None:
    assert len({ledger_attributes(description) for description in DESCRIPTIONS}) == len(DESCRIPTIONS)
    assert ledger_attributes(DESCRIPTIONS[Entry.EXPORT_QUEUE_FULL]) == (
        ("stage", "export.span"),
        ("outcome", "dropped"),
        ("reason", "queue_full"),
    )
    assert ledger_attributes(DESCRIPTIONS[Entry.EXPORT_SEEN]) == (
        ("stage", "export.span"),
        ("outcome", "seen"),
    )


def test_every_entry_is_exported_and_what_is_in_flight_is_not_monotonic() -> None:
    totals = list(range(100, 100 + len(DESCRIPTIONS)))
    metrics = collect(SelfTelemetry(RESOURCE, START), totals, FIRST)
    for entry in Entry:
        assert point(metrics, entry).value == totals[entry]
    counted, in_flight = [metric for metric in metrics if metric.name == LEDGER_RECORDS]
    assert (counted.kind, counted.unit, counted.monotonic, counted.temporality) == (
        "sum",
        "{record}",
        True,
        2,
    )
    assert (in_flight.kind, in_flight.monotonic) == ("sum", False)
    assert all(one.attributes["outcome"] == "in_flight" for one in in_flight.points)
    assert {(one.start, one.time) for one in counted.points} == {(START, FIRST)}
    assert all(metric.resource == RESOURCE for metric in metrics)


def test_the_process() -> None:
    metrics = {
        metric.name: metric for metric in collect(SelfTelemetry(RESOURCE, START), [0] * len(Entry), FIRST)
    }
    cpu, memory = metrics["process.cpu.time"], metrics["process.memory.usage"]
    assert (cpu.unit, cpu.monotonic, memory.unit, memory.monotonic) == ("s", True, "By", False)
    assert {one.attributes["cpu.mode"] for one in cpu.points} == {"user", "system"}
    assert sum(one.value for one in cpu.points) > 0
    assert memory.points[0].value > 5 << 20


def test_where_no_more_files_may_be_open_all_else_is_told() -> None:
    telemetry = SelfTelemetry(RESOURCE, START)
    with no_more_files():
        names = {metric.name for metric in collect(telemetry, [0] * len(Entry), FIRST)}
    assert LEDGER_RECORDS in names
    assert not names & {"process.cpu.time", "process.memory.usage"}


def test_delta() -> None:
    telemetry = SelfTelemetry(RESOURCE, START, delta=True)
    totals = [0] * len(Entry)
    totals[Entry.EXPORT_SEEN] = 10
    totals[Entry.EXPORT_IN_FLIGHT] = 4
    collect(telemetry, totals, FIRST)
    totals[Entry.EXPORT_SEEN] = 13
    totals[Entry.EXPORT_IN_FLIGHT] = 1
    metrics = collect(telemetry, totals, SECOND)
    seen, in_flight = point(metrics, Entry.EXPORT_SEEN), point(metrics, Entry.EXPORT_IN_FLIGHT)
    assert (seen.value, seen.start, seen.time) == (3, FIRST, SECOND)
    assert (in_flight.value, in_flight.start) == (1, START)
    assert [metric.temporality for metric in metrics] == [1, 2, 1, 2]


def test_requests_that_were_written_into() -> None:
    telemetry = SelfTelemetry(RESOURCE, START)
    data = telemetry.collect(
        Own([0] * len(DESCRIPTIONS), {}, {"written": 7, "present": 2, "failed": 0}), FIRST
    )
    metrics = decode_metrics(encode_metrics(data).SerializeToString())
    (injected,) = [metric for metric in metrics if metric.name == "ebpf.trace.injected"]
    assert (injected.kind, injected.unit, injected.monotonic) == ("sum", "{request}", True)
    found = {one.attributes["outcome"]: one.value for one in injected.points}
    assert found == {"written": 7, "present": 2}
    assert "ebpf.trace.injected" not in {
        one.name for one in collect(telemetry, [0] * len(DESCRIPTIONS), SECOND)
    }
