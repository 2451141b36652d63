"""Layer: unit. The stage as one object: what is built for which settings."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
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

from otel_ebpf.export.books import POINTS, SPANS
from otel_ebpf.export.pipeline import Pipeline, build
from otel_ebpf.export.settings import ExportSettings, OtlpSettings
from otel_ebpf.kernel.ledger import Ledger
from tests.export_samples import balance, changed, silent_port, span
from tests.otlp_receiver import OtlpReceiver

POINT = NumberDataPoint({"a": "b"}, 1, 2, 3)
METRIC = Metric("m", "", "1", Sum([POINT], AggregationTemporality.CUMULATIVE, True))
DATA = MetricsData(
    [
        ResourceMetrics(
            Resource({"service.name": "shop"}), [ScopeMetrics(InstrumentationScope("s"), [METRIC], "")], ""
        )
    ]
)


def run(settings: ExportSettings, metrics: bool = False) -> tuple[Pipeline, Ledger, str]:
    ledger, out = Ledger(), io.StringIO()
    pipeline = build(settings, ledger.shard, out)
    pipeline.start()
    pipeline.emit(span())
    if metrics:
        pipeline.metrics(DATA)
    pipeline.stop(60)
    return pipeline, ledger, out.getvalue()


def test_nothing() -> None:
    pipeline, ledger, out = run(ExportSettings(traces=(), metrics=()), metrics=True)
    assert (pipeline.wants_spans, pipeline.wants_metrics, out) == (False, False, "")
    assert balance(ledger, SPANS) == balance(ledger, POINTS) == {}


def test_the_console_counts_what_it_shows() -> None:
    pipeline, ledger, out = run(ExportSettings(traces=("console",)))
    assert (pipeline.wants_spans, pipeline.wants_metrics) == (True, False)
    assert "GET /users/{id}" in out
    assert balance(ledger, SPANS) == {"passed": 1}


def test_several_exporters_and_each_span_once_in_the_books() -> None:
    with OtlpReceiver() as receiver:
        otlp = OtlpSettings(receiver.grpc_endpoint)
        settings = ExportSettings(
            traces=("otlp", "console"), metrics=("otlp", "console"), traces_otlp=otlp, metrics_otlp=otlp
        )
        _, ledger, out = run(settings, metrics=True)
        assert len(receiver.spans()) == 1
        assert [metric.name for metric in receiver.metrics()] == ["m"]
    assert "GET /users/{id}" in out
    assert '"name": "m"' in out
    assert balance(ledger, SPANS) == {"passed": 1}
    assert balance(ledger, POINTS) == {"passed": 1}


def test_metrics_on_the_console_are_json() -> None:
    _, ledger, out = run(ExportSettings(traces=(), metrics=("console",)), metrics=True)
    assert json.loads(out)["resource_metrics"][0]["scope_metrics"][0]["metrics"][0]["name"] == "m"
    assert balance(ledger, POINTS) == {"passed": 1}


def test_metrics_that_json_cannot_say_are_counted() -> None:
    odd = NumberDataPoint({"a": cast("Any", object())}, 1, 2, 3)
    metric = Metric("m", "", "1", Sum([odd], AggregationTemporality.CUMULATIVE, True))
    scope = ScopeMetrics(InstrumentationScope("s"), [metric], "")
    ledger, out = Ledger(), io.StringIO()
    pipeline = build(ExportSettings(traces=(), metrics=("console",)), ledger.shard, out)
    pipeline.start()
    pipeline.metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))
    pipeline.stop(60)
    assert out.getvalue() == ""
    assert balance(ledger, POINTS) == {"failed": 1}


def test_a_span_of_wrong_types_is_counted_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with OtlpReceiver() as receiver:
        ledger = Ledger()
        settings = ExportSettings(traces=("otlp",), traces_otlp=OtlpSettings(receiver.grpc_endpoint))
        pipeline = build(settings, ledger.shard)
        pipeline.start()
        pipeline.emit(span()._replace(trace_id=cast("Any", None)))
        pipeline.emit(changed(span(), attributes=cast("Any", 7)))
        pipeline.emit(span(1))
        pipeline.stop(60)
        assert len(receiver.spans()) == 1
    assert balance(ledger, SPANS) == {"passed": 1, "failed": 2}
    assert "could not be encoded" in caplog.text


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        (
            "ExportSettings(traces=('console',))",
            ("grpc", "requests", "opentelemetry.sdk", "google.protobuf", "sqlite3"),
        ),
        (
            "ExportSettings(traces=('otlp',), traces_otlp=OtlpSettings(protocol='grpc'))",
            ("requests", "sqlite3"),
        ),
        ("ExportSettings(traces=('otlp',), traces_otlp=OtlpSettings(protocol='http/protobuf'))", ("grpc",)),
    ],
)
def test_only_what_is_used_is_loaded(settings: str, absent: tuple[str, ...]) -> None:
    program = f"""
import sys
from otel_ebpf.export.pipeline import build
from otel_ebpf.export.settings import ExportSettings, OtlpSettings
from otel_ebpf.kernel.ledger import Ledger
build({settings}, Ledger().shard)
print([name for name in {absent!r} if name in sys.modules])
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_process_ends_with_a_backend_that_hangs(protocol: str) -> None:
    program = f"""
import sys
from otel_ebpf.export.pipeline import build
from otel_ebpf.export.settings import ExportSettings, OtlpSettings, QueueSettings
from otel_ebpf.kernel.ledger import Ledger
from tests.export_samples import span
otlp = OtlpSettings(sys.argv[1], {protocol!r}, timeout=3600)
settings = ExportSettings(traces=("otlp",), traces_otlp=otlp, queue=QueueSettings(delay=0.01))
pipeline = build(settings, Ledger().shard)
pipeline.start()
pipeline.emit(span())
input()
pipeline.stop()
"""
    root = Path(__file__).parents[2]
    with (
        silent_port() as silent,
        subprocess.Popen(
            [sys.executable, "-c", program, f"http://127.0.0.1:{silent.port}/v1/traces"],
            stdin=subprocess.PIPE,
            text=True,
            cwd=root,
        ) as process,
    ):
        silent.take()
        process.communicate("stop\n", timeout=60)
        assert process.returncode == 0
