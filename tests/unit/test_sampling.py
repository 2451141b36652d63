"""Signals, sampling: the decisions are the SDK's."""

from __future__ import annotations

import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling as sdk
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ebpf.kernel.records import ContextSource
from otel_ebpf.signals.sampling import Sampler, TraceIdRatio, make_sampler

NAMES = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]


def sdk_sampler(monkeypatch: pytest.MonkeyPatch, name: str, argument: str) -> sdk.Sampler:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    return sdk._get_from_env_or_default()


def sdk_decides(sampler: sdk.Sampler, trace_id: bytes, parent: bytes, flags: int) -> bool:
    number = int.from_bytes(trace_id, "big")
    context = None
    if parent != b"\0" * 8:
        span = SpanContext(number, int.from_bytes(parent, "big"), True, TraceFlags(flags))
        context = set_span_in_context(NonRecordingSpan(span))
    return sampler.should_sample(context, number, "GET").decision.is_sampled()


def decides(sampler: Sampler, trace_id: bytes, parent: bytes, flags: int) -> bool:
    source = ContextSource.ROOT if parent == b"\0" * 8 else ContextSource.HEADER
    return sampler.sample(trace_id, parent, flags, int(source))


TRACE_IDS = [
    b"\xff" * 16,
    b"\xff" * 8 + b"\0" * 8,
    b"\0" * 8 + b"\x7f" + b"\xff" * 7,
    b"\0" * 8 + b"\x80" + b"\0" * 7,
    b"\x01" * 16,
]
ARGUMENTS = ["0", "1", "0.0", "1.0", "0.5", "0.25", "1e-19", "0.9999999999999999"]


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_as_the_sdk_decides(name: str, argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = sdk_sampler(monkeypatch, name, argument), make_sampler(name, argument)
    for trace_id in TRACE_IDS:
        for parent in (b"\0" * 8, b"\x05" * 8):
            for flags in (0, 1, 2, 3, 0xFF):
                assert decides(ours, trace_id, parent, flags) == sdk_decides(theirs, trace_id, parent, flags)


@given(ratio=st.floats(0, 1), low=st.integers(0, 2**64 - 1))
@example(ratio=1.0, low=2**64 - 1)
@example(ratio=0.0, low=0)
def test_the_ratio_s_bound_is_the_sdk_s(ratio: float, low: int) -> None:
    bound = sdk.TraceIdRatioBased(ratio).bound
    for number in {low, max(bound - 1, 0), min(bound, 2**64 - 1)}:
        trace_id = b"\xab" * 8 + number.to_bytes(8, "big")
        assert decides(TraceIdRatio(ratio), trace_id, b"\0" * 8, 0) == (number < bound)


def test_the_parent_s_flag_is_consulted_and_not_the_root_s() -> None:
    parent = b"\x05" * 8
    assert not decides(make_sampler("parentbased_always_on"), b"\x01" * 16, parent, 0)
    assert decides(make_sampler("parentbased_always_off"), b"\x01" * 16, parent, 1)
    assert decides(make_sampler("always_on"), b"\x01" * 16, parent, 0)
    # The flags of a call without a parent say nothing.
    assert decides(make_sampler("parentbased_always_on"), b"\x01" * 16, b"\0" * 8, 0)
    assert not decides(make_sampler("parentbased_always_off"), b"\x01" * 16, b"\0" * 8, 1)


@pytest.mark.parametrize("source", [ContextSource.PEER, ContextSource.SERVED])
def test_a_parent_that_was_seen_here_decides_only_what_a_header_has_decided(source: ContextSource) -> None:
    parent, decided = b"\x05" * 8, source | ContextSource.DECIDED
    in_half = b"\0" * 16, b"\xff" * 16
    sampler = make_sampler("parentbased_traceidratio", "0.5")
    # Nobody above has decided: each span of a trace is decided by its id, which they share.
    assert [sampler.sample(trace_id, parent, 0, int(source)) for trace_id in in_half] == [True, False]
    assert [sampler.sample(trace_id, parent, 0, int(decided)) for trace_id in in_half] == [False, False]
    assert [sampler.sample(trace_id, parent, 1, int(decided)) for trace_id in in_half] == [True, True]


def test_a_header_without_a_parent_id_is_no_parent() -> None:
    sampler = make_sampler("parentbased_always_on")
    assert sampler.sample(b"\1" * 16, b"\0" * 8, 0, int(ContextSource.HEADER))


@pytest.mark.parametrize("name", ["", "  ", "parentbased_always_on", "PARENTBASED_ALWAYS_ON"])
def test_the_default(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sampler = make_sampler(name)
    assert not caplog.records
    assert decides(sampler, b"\xff" * 16, b"\0" * 8, 0)
    assert not decides(sampler, b"\xff" * 16, b"\x05" * 8, 0)


@pytest.mark.parametrize(
    "name", ["xray", "parentbased_", "parentbased_jaeger_remote", "always", "traceidratio_"]
)
def test_an_unknown_name_is_said_and_the_default_used(name: str, caplog: pytest.LogCaptureFixture) -> None:
    sampler = make_sampler(name, "0")
    assert name in caplog.text
    assert decides(sampler, b"\xff" * 16, b"\0" * 8, 0)
    assert not decides(sampler, b"\xff" * 16, b"\x05" * 8, 0)


@pytest.mark.parametrize("argument", ["", "half", "-0.1", "1.1", "nan", "inf"])
@pytest.mark.parametrize("name", ["traceidratio", "parentbased_traceidratio"])
def test_a_bad_argument_is_said_and_everything_sampled(
    name: str, argument: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = make_sampler(name, argument)
    assert "OTEL_TRACES_SAMPLER_ARG" in caplog.text
    assert "until it is one" in caplog.text
    assert decides(sampler, b"\xff" * 16, b"\0" * 8, 0)
    assert sdk_decides(sdk_sampler(monkeypatch, name, argument), b"\xff" * 16, b"\0" * 8, 0)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        TraceIdRatio(ratio)
