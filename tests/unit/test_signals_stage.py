"""Signals, the stage: the books balance, and nothing raises."""

from __future__ import annotations

from typing import Any

import pytest
import signals_support
from hypothesis import given, settings
from hypothesis import strategies as st
from signals_support import (
    BOOT_TO_UNIX,
    CLIENT,
    SECOND,
    SHOP,
    attributes,
    call,
    piece,
    record,
    value,
)

from otel_ebpf.kernel.records import Role
from otel_ebpf.signals import names
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.routes import Routes
from otel_ebpf.signals.sampling import make_sampler
from otel_ebpf.signals.span import Span
from otel_ebpf.signals.stage import SignalStage


class Bench(signals_support.Bench):
    """The same, for requests."""

    def counted(self) -> int:
        """Calls in the duration histograms."""
        assert self.metrics is not None
        total = 0
        for descriptor, points in self.metrics.instruments.collect(1).instruments:
            if descriptor.name.endswith("duration"):
                total += sum(sum(point.value.counts) for point in points)  # type: ignore[union-attr]
        return total


def test_a_call_becomes_a_span_with_unix_times_and_a_metric() -> None:
    bench = Bench()
    bench.stage.call(call(start=3 * SECOND, end=3 * SECOND + 500), SHOP)
    (span,) = bench.spans
    assert (span.start, span.end) == (BOOT_TO_UNIX + 3 * SECOND, BOOT_TO_UNIX + 3 * SECOND + 500)
    assert bench.counted() == 1
    assert bench.counts() == {"seen": 1, "aggregated": 1, "span": 1}


def test_unsampled_calls_are_counted_all_the_same() -> None:
    bench = Bench("always_off")
    for _ in range(7):
        bench.stage.call(call(), SHOP)
    assert not bench.spans
    assert bench.counted() == 7
    assert bench.counts() == {"seen": 7, "aggregated": 7, "unsampled": 7}


def test_traces_off() -> None:
    bench = Bench(traces=False)
    bench.stage.call(call(), SHOP)
    assert bench.counts() == {"seen": 1, "aggregated": 1, "spans_off": 1}


def test_metrics_off() -> None:
    bench = Bench(metrics=False)
    bench.stage.call(call(of=record(lost=4)), SHOP)
    bench.stage.forget(SHOP)
    assert bench.counts() == {"seen": 1, "span": 1}


def test_a_role_that_is_not_known_makes_neither() -> None:
    bench = Bench()
    bench.stage.call(call(of=record(role=int(Role.UNKNOWN))), SHOP)
    assert not bench.spans
    assert bench.counted() == 0
    assert bench.counts() == {"seen": 1, "role_unknown": 1}


def test_an_error_of_a_neighbour_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def broken(_: Span) -> None:
        raise RuntimeError("no more room")

    bench.stage = SignalStage(
        bench.ledger.shard(),
        lambda: 0,
        make_sampler(),
        Routes(),
        Redaction(),
        bench.metrics,
        broken,
    )
    for _ in range(3):
        bench.stage.call(call(), SHOP)
    assert bench.counts() == {"seen": 3, "aggregated": 3, "failed": 3}
    assert len([one for one in caplog.records if "more room" in str(one.exc_info)]) == 1


@pytest.mark.parametrize(("start", "end"), [(SECOND, 0), (SECOND, SECOND - 1)])
def test_an_end_before_the_start_is_no_time_at_all(start: int, end: int) -> None:
    bench = Bench()
    bench.stage.call(call(start=start, end=end), SHOP)
    assert bench.spans[0].start == bench.spans[0].end == BOOT_TO_UNIX + start


def lost(bench: Bench) -> int:
    assert bench.metrics is not None
    found = {one.name: points for one, points in bench.metrics.instruments.collect(1).instruments}
    return sum(int(point.value) for point in found["ebpf.ledger.records"])  # type: ignore[arg-type]


def test_records_that_the_connection_lost_are_counted_once_for_each_record() -> None:
    bench = Bench()
    bench.stage.call(call(of=record(lost=2)), SHOP)
    bench.stage.call(call(of=record(lost=3)), SHOP)
    shared = piece(lost=5)
    bench.stage.call(call(of=shared), SHOP)
    bench.stage.call(call(of=shared), SHOP)
    bench.stage.call(call(), SHOP)
    assert lost(bench) == 10


def test_after_forget_a_late_call_still_counts() -> None:
    bench = Bench()
    bench.stage.call(call(), SHOP)
    bench.stage.forget(SHOP)
    bench.stage.call(call(), SHOP)
    assert bench.counted() == 2
    bench.stage.call(call(), SHOP)
    assert bench.counted() == 3
    bench.stage.forget(SHOP)
    bench.counted()
    assert bench.counted() == 0


texts = st.text(max_size=40)
numbers = st.integers(0, 2**64 - 1)
https = st.builds(
    value,
    method=st.one_of(st.sampled_from(["GET", "CONNECT", "OPTIONS"]), texts),
    path=st.one_of(texts, texts.map("/".__add__)),
    query=texts,
    host=st.one_of(texts, st.sampled_from(["[::1", "[", "@", "a:b:c", ":", "x:1e9", "²:²"])),
    version=texts,
    status=st.integers(0, 65535),
    user_agent=texts,
    forwarded_for=texts,
    request_body=st.integers(-1, 2**63),
    response_body=st.integers(-1, 2**63),
)
records = st.builds(
    record,
    transport=st.integers(0, 3),
    family=st.sampled_from([0, 1, 2, 10, 99]),
    role=st.integers(0, 3),
    flags=st.integers(0, 2**32 - 1),
    lost=st.integers(0, 2**32 - 1),
    server_port=st.integers(0, 65535),
    client_port=st.integers(0, 65535),
    server_address=st.binary(min_size=16, max_size=16),
    client_address=st.binary(min_size=16, max_size=16),
    path=st.binary(max_size=108),
)
calls = st.builds(
    call,
    https,
    records,
    start=numbers,
    response_start=numbers,
    end=numbers,
    how=st.integers(0, 255),
    error=st.integers(0, 255),
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_id=st.binary(min_size=8, max_size=8),
    trace_flags=st.integers(0, 255),
    context_source=st.integers(0, 255),
)


@settings(max_examples=300)
@given(st.lists(calls, max_size=20), st.sampled_from(["", "always_off", "traceidratio"]), st.booleans())
def test_whatever_comes_nothing_raises_and_the_books_balance(
    given_calls: list[Any], sampler: str, traces: bool
) -> None:
    bench = Bench(sampler, traces=traces)
    for one in given_calls:
        bench.stage.call(one, SHOP)
    counts = bench.counts()
    assert "failed" not in counts, "odd input is no error of the agent"
    connects = {name: counts.pop(name) for name in list(counts) if name.startswith("connect_")}
    assert connects.pop("connect_seen", 0) == sum(connects.values())
    seen = counts.pop("seen", 0)
    aggregated = counts.pop("aggregated", 0)
    assert seen == len(given_calls) == sum(counts.values())
    assert aggregated == seen - counts.get("role_unknown", 0) == bench.counted()
    assert counts.get("span", 0) + connects.get("connect_span", 0) == len(bench.spans)
    for span in bench.spans:
        assert span.end >= span.start
        for name, one in attributes(span).items():
            assert name in names.ATTRIBUTES
            assert isinstance(one, (str, int, float))


@pytest.mark.parametrize("bad", [None, (), call()._replace(value=None), call()._replace(record=None)])
def test_what_is_no_call_at_all_is_counted(bad: Any) -> None:
    bench = Bench()
    bench.stage.call(bad, SHOP)
    assert bench.counts() == {"seen": 1, "failed": 1}


def test_a_client_that_scans_makes_bounded_series() -> None:
    bench = Bench()
    for number in range(3000):
        bench.stage.call(
            call(value(path=f"/p{number}x/{number % 7}y", status=200 if number % 2 else 404)), SHOP
        )
        bench.stage.call(call(value(host=f"h{number}"), record(role=CLIENT)), SHOP)
    assert bench.metrics is not None
    for descriptor, points in bench.metrics.instruments.collect(1).instruments:
        assert len(points) <= (2000 if "client" in descriptor.name else 2 * (20 + 1) + 1)
    assert bench.counted() == 6000
