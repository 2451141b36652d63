"""Layer: unit. The scrape, as Prometheus' own client library reads it."""

from __future__ import annotations

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel_ebpf.export.exposition import Scrape, prometheus_text
from otel_ebpf.export.own import Level, Own
from otel_ebpf.export.self_telemetry import OWN_METRICS, SelfTelemetry
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Entry
from otel_ebpf.kernel.messages import ProbeCounts
from otel_ebpf.kernel.program_runs import Runs

HOSTILE = 'a"b\\c\nd{}=,\x1b'


def own() -> Own:
    """Something of each metric."""
    return Own(
        list(range(len(DESCRIPTIONS))),
        {("api", "verified"): 3},
        {"written": 2},
        {"spans": Level(5, 100), "metric data points": Level(6, 200)},
        ProbeCounts({("tls_library", "uprobe"): 9}, {("tcp_payload", "kprobe", "ENOENT"): 1}),
        {"state_btf": Runs(2_000_000, 40), "never": Runs(0, 0)},
    )


def scraped(text: bytes) -> dict[tuple[str, str], dict[tuple[tuple[str, str], ...], float]]:
    found: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault((sample.name, family.type), {})[labels] = sample.value
    return found


def test_every_metric_as_prometheus_reads_it() -> None:
    telemetry = SelfTelemetry({"service.name": HOSTILE}, 1)
    found = scraped(prometheus_text(telemetry.collect(own(), 2)))
    assert found["target_info", "gauge"] == {(("service_name", HOSTILE),): 1}
    assert found["ebpf_program_run_time_seconds_total", "counter"] == {(("program", "state_btf"),): 0.002}
    assert found["ebpf_program_runs_total", "counter"] == {(("program", "state_btf"),): 40}
    assert found["otel_sdk_processor_span_queue_size", "gauge"] == {
        (
            ("otel_component_name", "batching_span_processor/0"),
            ("otel_component_type", "batching_span_processor"),
        ): 5
    }
    assert found["ebpf_metric_data_point_queue_capacity", "gauge"] == {(): 200}
    assert found["ebpf_probe_attached", "gauge"] == {(("capability", "tls_library"), ("kind", "uprobe")): 9}
    assert found["ebpf_probe_attach_failures_total", "counter"] == {
        (("capability", "tcp_payload"), ("kind", "kprobe"), ("reason", "ENOENT")): 1
    }
    assert found["process_memory_usage_bytes", "gauge"][()] > 1 << 20
    assert len(found) == len(OWN_METRICS) + 1, "and the target's own"
    ledger = found["ebpf_ledger_records_total", "counter"] | found["ebpf_ledger_records", "gauge"]
    assert len(ledger) == len(DESCRIPTIONS)
    assert sum(ledger.values()) == sum(range(len(DESCRIPTIONS)))
    queue_full = (("outcome", "dropped"), ("reason", "queue_full"), ("stage", "export.span"))
    assert ledger[queue_full] == Entry.EXPORT_QUEUE_FULL


def test_what_is_exported_has_the_attributes_that_are_declared() -> None:
    telemetry = SelfTelemetry({"service.name": "agent"}, 1)
    (resource,) = telemetry.collect(own(), 2).resource_metrics
    exported = resource.scope_metrics[0].metrics
    assert [metric.name for metric in exported] == [metric.name for metric in OWN_METRICS]
    for metric, declared in zip(exported, OWN_METRICS, strict=True):
        assert metric.unit == declared.unit
        points = metric.data.data_points
        assert {key for point in points for key in point.attributes or {}} == set(declared.attributes)


def test_one_answer_serves_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counted: list[Own | None] = [None, own(), own()]
    scrape = Scrape(lambda: counted.pop(0), (), 1)
    assert scrape() is None
    first = scrape()
    assert first is not None
    now += 0.9
    assert scrape() is first
    now += 0.2
    assert scrape() is not first


def test_an_agent_that_has_stopped() -> None:
    def stopped() -> Own:
        raise KernelError("nothing is attached")

    assert Scrape(stopped, (), 1)() is None
