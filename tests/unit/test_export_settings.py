"""Layer: unit. From the standard variables to settings, and what the stock exporters get to see."""

from __future__ import annotations

import os

import pytest

from otel_ebpf.environment import read_environment
from otel_ebpf.export.exporters import exporter_for
from otel_ebpf.export.outcome import Signal
from otel_ebpf.export.settings import ExportSettings, OtlpSettings, QueueSettings, settings_from
from otel_ebpf.export.stock import stock_environment


def settings(console: bool = False, **variables: str) -> ExportSettings:
    return settings_from(read_environment(variables), variables, console)


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("variables", "console", "traces", "metrics"),
    [
        ({}, False, ("console",), ()),
        ({}, True, ("console",), ()),
        ({ENDPOINT: "http://x:4317"}, False, ("otlp",), ("otlp",)),
        ({ENDPOINT: "http://x:4317"}, True, ("otlp", "console"), ("otlp",)),
        ({ENDPOINT: " "}, False, ("console",), ()),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4317"}, False, ("otlp",), ()),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x:4317"}, False, (), ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, False, ("otlp",), ()),
        ({"OTEL_TRACES_EXPORTER": "none"}, False, (), ()),
        ({"OTEL_TRACES_EXPORTER": "none"}, True, ("console",), ()),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, False, ("otlp", "console"), ()),
        ({"OTEL_METRICS_EXPORTER": "console,otlp"}, False, ("console",), ("console", "otlp")),
        ({ENDPOINT: "http://x:4317", "OTEL_SDK_DISABLED": "true"}, False, (), ()),
    ],
)
def test_exporters(
    variables: dict[str, str], console: bool, traces: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    found = settings(console, **variables)
    assert (found.traces, found.metrics) == (traces, metrics)


def test_the_queue_of_a_whole_host_unless_the_variables_say_otherwise() -> None:
    assert settings().queue == QueueSettings()
    assert (QueueSettings().spans, QueueSettings().batch, QueueSettings().delay) == (65_536, 4_096, 1.0)
    found = settings(
        OTEL_BSP_MAX_QUEUE_SIZE="2048", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="512", OTEL_BSP_SCHEDULE_DELAY="5000"
    ).queue
    assert (found.spans, found.batch, found.delay) == (2048, 512, 5.0)


def test_timeouts_are_milliseconds_and_each_signal_has_its_own() -> None:
    found = settings(OTEL_EXPORTER_OTLP_TIMEOUT="3000", OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="250")
    assert (found.traces_otlp.timeout, found.metrics_otlp.timeout) == (0.25, 3.0)
    assert settings(OTEL_EXPORTER_OTLP_TIMEOUT="0").traces_otlp.timeout == 10.0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION": "none"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "",
            "OTEL_EXPORTER_OTLP_HEADERS": "",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "",
        },
        {"OTEL_EXPORTER_OTLP_INSECURE": ""},
    ],
)
def test_values_that_the_stock_exporters_stumble_over(protocol: str, variables: dict[str, str]) -> None:
    for signal in Signal:
        exporter_for(signal, OtlpSettings(protocol=protocol, variables=variables)).close()


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "7")
    before = dict(os.environ)
    shown = {
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": " c=d ",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "9",
        "HOME": "/nowhere",
    }
    with stock_environment(shown):
        assert os.environ["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] == "c=d"
        assert "OTEL_EXPORTER_OTLP_HEADERS" not in os.environ
        assert "OTEL_EXPORTER_OTLP_TIMEOUT" not in os.environ
        assert os.environ["HOME"] == before["HOME"]
    assert dict(os.environ) == before


def test_the_variables_may_be_the_environment_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are in the agent, whose headers and certificates come from there."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    with stock_environment(os.environ):
        assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=secret"
    assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=secret"
