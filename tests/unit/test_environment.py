"""The agent's own environment."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.environment import VARIABLES, parse_pairs, read_environment


def test_nothing_set() -> None:
    environment = read_environment({})
    assert environment.warnings == ()
    assert not environment.sdk_disabled
    assert not environment.has_otlp_endpoint
    assert environment.sampler == "parentbased_always_on"
    assert environment.traces.exporters == environment.metrics.exporters == ("otlp",)
    assert not environment.traces.exporters_given
    assert environment.metric_export_interval_ms == 60_000
    assert environment.log_level == logging.INFO


def test_empty_is_unset() -> None:
    names = {variable.name: "  " for variable in VARIABLES}
    assert read_environment(names) == read_environment({})


@pytest.mark.parametrize(
    ("value", "disabled", "warned"),
    [("true", True, 0), ("TRUE", True, 0), ("false", False, 0), ("1", False, 1), ("yes", False, 1)],
)
def test_only_true_is_true(value: str, disabled: bool, warned: int) -> None:
    environment = read_environment({"OTEL_SDK_DISABLED": value})
    assert environment.sdk_disabled is disabled
    assert len(environment.warnings) == warned


def test_the_general_endpoint_is_a_base_for_http() -> None:
    environment = read_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/otlp/"})
    assert environment.has_otlp_endpoint
    assert environment.traces.protocol == "http/protobuf"
    assert environment.traces.endpoint == "http://c:4318/otlp/v1/traces"
    assert environment.metrics.endpoint == "http://c:4318/otlp/v1/metrics"


def test_a_signals_own_variables_win_and_its_endpoint_is_taken_as_it_is() -> None:
    environment = read_environment(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/own",
            "OTEL_EXPORTER_OTLP_HEADERS": "A=1",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "B=x%20y,c=2",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "5",
        }
    )
    assert environment.traces.endpoint == "https://t/own"
    assert environment.metrics.endpoint == "http://c:4318/v1/metrics"
    assert environment.traces.headers == (("a", "1"),)
    assert environment.metrics.headers == (("b", "x y"), ("c", "2"))
    assert (environment.traces.timeout_ms, environment.metrics.timeout_ms) == (5, 10_000)


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("http://c:4317", "grpc"),
        ("c:4317/", "grpc"),
        ("http://c:4318", "http/protobuf"),
        ("", "http/protobuf"),
    ],
)
def test_the_protocol_follows_the_port_where_it_is_not_set(endpoint: str, protocol: str) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    assert read_environment(variables).traces.protocol == protocol
    forced = read_environment({**variables, "OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC"})
    assert forced.traces.protocol == "grpc"
    assert forced.traces.endpoint == (endpoint or "http://localhost:4317")


@pytest.mark.parametrize(
    ("value", "exporters", "warned"),
    [
        ("otlp,console", ("otlp", "console"), 0),
        ("Console", ("console",), 0),
        ("none", (), 0),
        ("none,otlp", (), 1),
        ("zipkin", ("otlp",), 1),
        ("zipkin,console", ("console",), 1),
    ],
)
def test_exporters(value: str, exporters: tuple[str, ...], warned: int) -> None:
    environment = read_environment({"OTEL_TRACES_EXPORTER": value})
    assert environment.traces.exporters == exporters
    assert environment.traces.exporters_given
    assert not environment.metrics.exporters_given
    assert len(environment.warnings) == warned


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "10000 is used"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "60000 is used"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-5", "60000 is used"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1e4", "65536 is used"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9" * 5000, "65536 is used"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_always_on is used"),
        ("OTEL_LOG_LEVEL", "loud", "info is used"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none is used"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf is used"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c", "it is ignored"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1", "it is ignored"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "x", "cumulative is used"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "the whole variable is ignored"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "the whole variable is ignored"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz", "the whole variable is ignored"),
    ],
)
def test_what_cannot_be_used_is_warned_of_once_and_replaced(name: str, value: str, used: str) -> None:
    environment = read_environment({name: value})
    (warning,) = environment.warnings
    assert warning.startswith(f"{name}: ")
    assert warning.endswith(used)
    default = read_environment({})
    assert environment == default.__class__(
        **{f: getattr(default, f) for f in default.__slots__ if f != "warnings"},
        warnings=environment.warnings,
    )


def test_sampler_and_its_ratio() -> None:
    variables = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    assert read_environment(variables).sampler_ratio == 0.25
    for wrong in ("nan", "inf", "-0.1", "1.1", "half"):
        environment = read_environment({**variables, "OTEL_TRACES_SAMPLER_ARG": wrong})
        assert environment.sampler_ratio == 1.0
        assert len(environment.warnings) == 1
    other = read_environment({"OTEL_TRACES_SAMPLER": "always_off", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    assert (other.sampler, other.sampler_ratio) == ("always_off", 1.0)


def test_a_batch_is_not_larger_than_the_queue() -> None:
    assert read_environment({"OTEL_BSP_MAX_QUEUE_SIZE": "100"}).bsp_max_export_batch_size == 100
    environment = read_environment(
        {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "101"}
    )
    assert environment.bsp_max_export_batch_size == 100
    assert len(environment.warnings) == 1


def test_resource_attributes_are_percent_decoded() -> None:
    environment = read_environment({"OTEL_RESOURCE_ATTRIBUTES": " a = b%2Cc%3D , d=caf%C3%A9,,e=x=y,"})
    assert environment.resource_attributes == (("a", "b,c="), ("d", "café"), ("e", "x=y"))
    assert environment.warnings == ()


def test_pairs_that_can_be_read_survive_those_that_cannot() -> None:
    pairs, wrong = parse_pairs("a=1,bad,b=2")
    assert pairs == (("a", "1"), ("b", "2"))
    assert "'bad' is not key=value" in wrong
    many, wrong = parse_pairs(",".join(f"k{n}=1" for n in range(1000)))
    assert len(many) == 128
    assert "more than 128 pairs" in wrong


def test_every_variable_is_documented_and_no_other() -> None:
    class Recorder(dict[str, str]):
        def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
            asked.add(key.replace("_TRACES_", "_", 1) if key.startswith("OTEL_EXPORTER_OTLP_T") else key)
            return {"OTEL_TRACES_SAMPLER": "traceidratio"}.get(key, default)

    asked: set[str] = set()
    read_environment(Recorder())
    general = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"}
    asked = {name if name in general else name.replace("OTLP_METRICS_", "OTLP_") for name in asked}
    assert asked == {variable.name for variable in VARIABLES}


@given(st.dictionaries(st.sampled_from([v.name for v in VARIABLES]), st.text(max_size=30)))
def test_nothing_raises(variables: dict[str, str]) -> None:
    environment = read_environment(variables)
    assert environment.metric_export_interval_ms > 0
    assert 0.0 <= environment.sampler_ratio <= 1.0
    assert environment.traces.endpoint
