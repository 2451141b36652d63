"""Signals, lookups of names: span, metric, books."""

from __future__ import annotations

from typing import Any

import pytest
import signals_support
from signals_support import BOOT_TO_UNIX, CLIENT, SECOND, SHOP, attributes, ipv4, service

from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.records import ContextSource, Lookup, LookupCall
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.protocols.dns_lookups import TIMED_OUT
from otel_ebpf.signals import names
from otel_ebpf.signals.instruments import HistogramPoint, NumberPoint
from otel_ebpf.signals.lookup_names import name_text
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.sampling import AlwaysOff

MS = 1_000_000
LOOPBACK6 = bytes(15) + b"\1"
THE_14 = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def lookup(**changes: Any) -> Lookup:
    fields: dict[str, Any] = {
        "time": SECOND,
        "end": SECOND + 30 * MS,
        "result": 0,
        "call": int(LookupCall.GETADDRINFO),
        "name": b"shop.example",
        "addresses": ((2, ipv4("10.0.0.7")), (10, LOOPBACK6)),
        "seconds": 0,
        "retries": 0,
        "truncations": 0,
        "trace_id": b"\x01" * 16,
        "span_id": b"\x02" * 8,
        "parent_id": bytes(8),
        "trace_flags": 0,
        "context_source": int(ContextSource.ROOT),
        "vantage": Vantage(0, 0, 0, 53, 0, 1, 1, 10, 10, bytes(16)),
    }
    return Lookup(**(fields | changes))


class Bench(signals_support.Bench):
    """The same, for lookups."""

    def seen(self, one: Lookup, of: Service | None = SHOP) -> None:
        self.stage.lookups.seen(one, of)

    def counts(self) -> dict[str, int]:
        found = super().counts()
        return {name.removeprefix("lookup_"): n for name, n in found.items() if name.startswith("lookup_")}

    def durations(self) -> list[HistogramPoint]:
        assert self.metrics is not None
        snapshot = self.metrics.instruments.collect(1)
        return [
            point
            for descriptor, points in snapshot.instruments
            if descriptor.name == names.DNS_LOOKUP_DURATION
            for point in points
            if isinstance(point, HistogramPoint)
        ]


def test_a_lookup_is_a_span_and_a_measurement() -> None:
    bench = Bench()
    bench.seen(lookup())
    (span,) = bench.spans
    assert span.template.name == "DNS lookup shop.example"
    assert (span.template.kind, span.template.error) == (1, False)
    assert (span.start, span.end) == (BOOT_TO_UNIX + SECOND, BOOT_TO_UNIX + SECOND + 30 * MS)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (b"\x01" * 16, b"\x02" * 8, b"")
    assert (span.trace_flags, span.parent_is_remote) == (1, False)
    assert attributes(span) == {
        "dns.question.name": "shop.example",
        "dns.answers": ("10.0.0.7", "::1"),
    }
    (point,) = bench.durations()
    assert dict(point.attributes) == {"dns.question.name": "shop.example"}
    assert point.value.total == pytest.approx(0.03)
    assert bench.counts() == {"seen": 1, "span": 1}


def test_the_bounds_are_the_conventions() -> None:
    bench = Bench()
    bench.seen(lookup())
    assert bench.metrics is not None
    declared = {one.name: one for one, _ in bench.metrics.instruments.collect(1).instruments}
    assert declared[names.DNS_LOOKUP_DURATION].bounds == THE_14
    assert declared[names.DNS_LOOKUP_DURATION].unit == "s"


@pytest.mark.parametrize(
    ("call", "result", "error"),
    [
        (LookupCall.GETADDRINFO, -2, "host_not_found"),
        (LookupCall.GETADDRINFO, -3, "try_again"),
        (LookupCall.GETADDRINFO, -4, "no_recovery"),
        (LookupCall.GETADDRINFO, -11, "system"),
        (LookupCall.GETADDRINFO, -4711, "_OTHER"),
        (LookupCall.GETNAMEINFO, -2, "host_not_found"),
        (LookupCall.GETHOSTBYNAME, 1, "host_not_found"),
        (LookupCall.GETHOSTBYNAME, 2, "try_again"),
        (LookupCall.GETHOSTBYADDR, 4, "no_data"),
        (LookupCall.GETHOSTBYNAME, -1, "netdb_internal"),
        (LookupCall.QUESTIONS, 1, "host_not_found"),
        (LookupCall.QUESTIONS, TIMED_OUT, "timeout"),
    ],
)
def test_errors(call: LookupCall, result: int, error: str) -> None:
    bench = Bench()
    bench.seen(lookup(call=int(call), result=result, addresses=()))
    (span,) = bench.spans
    assert span.template.error
    assert attributes(span) == {"dns.question.name": "shop.example", "error.type": error}
    assert dict(bench.durations()[0].attributes)["error.type"] == error


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"Shop.EXAMPLE.", "shop.example"),
        (b".", "."),
        (b"", ""),
        (b'a"b\\c\td\xe9', 'a\\"b\\\\c\\td\\233'),
        (b"\x00\x7f", "\\000\\127"),
    ],
)
def test_names(name: bytes, text: str) -> None:
    assert name_text(name) == text


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ((2, ipv4("10.0.0.7")), "7.0.0.10.in-addr.arpa"),
        ((10, LOOPBACK6), "1." + "0." * 31 + "ip6.arpa"),
        ((10, bytes(10) + b"\xff\xff\n\0\0\7"), "7.0.0.10.in-addr.arpa"),
    ],
)
def test_of_an_address_the_question_is_its_name(asked: tuple[int, bytes], question: str) -> None:
    bench = Bench()
    bench.seen(lookup(call=int(LookupCall.GETNAMEINFO), name=b"", addresses=(asked,)))
    assert attributes(bench.spans[0]) == {"dns.question.name": question}
    assert bench.spans[0].template.name == f"DNS lookup {question}"


def test_a_request_s_lookup_is_its_child_and_sampled_as_it_is() -> None:
    bench = Bench("parentbased_traceidratio")
    decided = int(ContextSource.SERVED | ContextSource.DECIDED)
    served = {"parent_id": b"\3" * 8, "context_source": decided, "trace_id": b"\xff" * 16}
    bench.seen(lookup(**served, trace_flags=1))
    bench.seen(lookup(**served, trace_flags=0))
    (span,) = bench.spans
    assert (span.parent_span_id, span.parent_is_remote) == (b"\3" * 8, False)
    assert bench.counts() == {"seen": 2, "span": 1, "unsampled": 1}
    assert bench.durations()[0].value.counts[4] == 2 or sum(bench.durations()[0].value.counts) == 2


@pytest.mark.parametrize(("spans", "expected"), [("all", 2), ("requests", 1), ("none", 0)])
def test_which_make_spans_is_configured(spans: str, expected: int) -> None:
    bench = Bench(lookup_spans=spans)
    bench.seen(lookup())
    bench.seen(lookup(parent_id=b"\3" * 8, context_source=int(ContextSource.SERVED)))
    assert len(bench.spans) == expected
    assert bench.counts().get("no_span", 0) == 2 - expected
    assert sum(bench.durations()[0].value.counts) == 2


def test_retries_and_truncations_are_counted_by_name_server() -> None:
    bench = Bench()
    asked = Vantage(3, 2, 1, 53, 0, 1, 1, 10, 10, ipv4("10.0.0.53"))
    bench.seen(lookup(call=int(LookupCall.QUESTIONS), vantage=asked, retries=2))
    bench.seen(lookup(call=int(LookupCall.QUESTIONS), vantage=asked, retries=1, truncations=1))
    assert bench.metrics is not None
    found = {
        descriptor.name: points for descriptor, points in bench.metrics.instruments.collect(1).instruments
    }
    for name, total in ((names.DNS_RETRIES, 3), (names.DNS_TRUNCATIONS, 1)):
        (point,) = found[name]
        assert isinstance(point, NumberPoint)
        assert point.value == total
        assert dict(point.attributes) == {"network.peer.address": "10.0.0.53", "network.peer.port": 53}


def test_of_an_excluded_process_nothing_is_told() -> None:
    bench = Bench()
    bench.seen(lookup(), None)
    assert bench.counts() == {"seen": 1, "discovery": 1}
    assert not bench.spans
    assert not bench.durations()


def test_without_traces_or_metrics() -> None:
    bench = Bench(traces=False)
    bench.seen(lookup())
    assert bench.counts() == {"seen": 1, "no_span": 1}
    bench = Bench(metrics=False)
    bench.seen(lookup())
    assert bench.counts() == {"seen": 1, "span": 1}


def test_an_error_of_a_neighbour_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def broken(_: object) -> None:
        raise RuntimeError("no")

    bench.stage.lookups._emit = broken
    for _ in range(2):
        bench.seen(lookup())
    assert bench.counts() == {"seen": 2, "failed": 2}
    assert len(caplog.records) == 1


def test_what_is_kept_is_bounded_and_goes_with_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_ebpf.signals.lookups.CACHED", 3)
    bench = Bench()
    for number in range(10):
        bench.seen(lookup(name=b"a%d.example" % number))
    assert 0 < len(bench.stage.lookups._shapes) <= 3
    bench.stage.forget(SHOP)
    assert not bench.stage.lookups._shapes
    assert CLIENT


def test_a_service_without_spans_has_none_of_lookups() -> None:
    """The metric goes on; and who has a sampler of its own goes by that."""
    till = service("till", 2)
    bench = Bench(per_service=PerService(untraced={SHOP}, samplers={till: AlwaysOff().sample}))
    for of in (SHOP, till, service("other", 3)):
        bench.seen(lookup(), of)
    assert [span.template.service.name for span in bench.spans] == ["other"]
    assert bench.counts() == {"seen": 3, "span": 1, "unsampled": 1, "no_span": 1}
    assert sum(sum(point.value.counts) for point in bench.durations()) == 3
