"""Signals, TLS handshakes: child span, metric, books."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import signals_support
from hypothesis import given, settings
from hypothesis import strategies as st
from signals_support import (
    BOOT_TO_UNIX,
    CLIENT,
    NO_SOCKET,
    SECOND,
    SERVER,
    SHOP,
    attributes,
    call,
    client_hello,
    ipv4,
    record,
    service,
    tls,
    value,
)

from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.records import Capture, Close, ContextSource, End, Exchange, Kind, Role, Transport
from otel_ebpf.signals import handshakes, names
from otel_ebpf.signals.instruments import HistogramPoint
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.sampling import AlwaysOff
from otel_ebpf.signals.span import Span, SpanKind

TLS = int(Capture.TLS)
FIRST = int(Capture.TLS | Capture.FIRST)
START, DONE = SECOND - 5_000_000, SECOND - 1_000_000
THE_14 = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


HELLO = client_hello()


def handshake(**changes: Any) -> Exchange:
    """A handshake that a client completed."""
    facts: dict[str, Any] = {
        "kind": int(Kind.HANDSHAKE),
        "end": int(End.NONE),
        "flags": TLS,
        "tls": tls(resumed=1),
        "role": CLIENT,
        "time": START,
        "request_end": START + 1000,
        "response_start": START + 2000,
        "response_end": DONE,
        "server_port": 443,
        "request": HELLO,
    }
    return record(**(facts | changes))


def failed(**changes: Any) -> Exchange:
    return handshake(**({"end": int(End.FIN), "response_end": 0, "tls": bytes(8)} | changes))


def first_call(http: Any = None, **changes: Any) -> Any:
    of = record(**({"role": CLIENT, "flags": FIRST, "tls": tls(resumed=1), "server_port": 443} | changes))
    return call(http or value(host="shop.example"), of)


class Bench(signals_support.Bench):
    """The same, for handshakes."""

    def __init__(
        self,
        sampler: str = "",
        metrics: bool = True,
        traces: bool = True,
        per_service: PerService | None = None,
    ) -> None:
        super().__init__(sampler, metrics, traces, per_service=per_service)
        self.handshakes = self.stage.handshakes

    def seen(self, one: Exchange, of: Service | None = SHOP) -> None:
        self.handshakes.seen(one, of)

    def internal(self) -> list[Span]:
        return [span for span in self.spans if span.template.kind == SpanKind.INTERNAL]

    def counts(self) -> dict[str, int]:
        found = super().counts()
        prefix = "handshake_"
        return {name.removeprefix(prefix): n for name, n in found.items() if name.startswith(prefix)}

    def durations(self) -> list[HistogramPoint]:
        assert self.metrics is not None
        snapshot = self.metrics.instruments.collect(1)
        return [
            point
            for descriptor, points in snapshot.instruments
            if descriptor.name == names.TLS_HANDSHAKE_DURATION
            for point in points
            if isinstance(point, HistogramPoint)
        ]


def test_the_first_call_brings_the_handshake_as_its_child() -> None:
    bench = Bench()
    bench.seen(handshake())
    assert bench.counts() == {"seen": 1, "in_flight": 1}
    assert not bench.spans
    bench.stage.call(first_call(), SHOP)
    parent, child = bench.spans
    assert (child.trace_id, child.parent_span_id) == (parent.trace_id, parent.span_id)
    assert child.span_id not in (parent.span_id, bytes(8))
    assert len(child.span_id) == 8
    assert (child.trace_flags, child.parent_is_remote) == (1, False)
    assert (child.start, child.end) == (BOOT_TO_UNIX + START, BOOT_TO_UNIX + DONE)
    assert child.start < parent.start, "it was over before the request"
    assert child.template.name == "TLS client handshake shop.example"
    assert (child.template.kind, child.template.error, child.template.service) == (1, False, SHOP)
    assert attributes(child) == {
        "server.address": "shop.example",
        "server.port": 443,
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 443,
        "tls.protocol.version": "1.3",
        "tls.cipher": "TLS_AES_256_GCM_SHA384",
        "tls.next_protocol": "http/1.1",
        "tls.resumed": False,
    }
    assert bench.counts() == {"seen": 1, "span": 1}


def test_only_the_first_call_of_its_connection_does() -> None:
    bench = Bench()
    bench.seen(handshake())
    bench.stage.call(first_call(connection=78), SHOP)
    bench.stage.call(first_call(role=SERVER), SHOP)  # the other end of the same connection
    assert not bench.internal()
    for _ in range(3):
        bench.stage.call(first_call(flags=TLS), SHOP)
    assert len(bench.internal()) == 1


def test_the_parent_s_sampling_decides() -> None:
    bench = Bench("always_off")
    bench.seen(handshake())
    bench.stage.call(first_call(), SHOP)
    assert not bench.spans
    assert bench.counts() == {"seen": 1, "unsampled": 1}
    bench = Bench("parentbased_traceidratio")
    for number in range(40):
        bench.seen(handshake(connection=number))
        traced = {"trace_id": bytes(8) + (number * 7919 << 48).to_bytes(10, "big")[-8:]}
        bench.stage.call(first_call(connection=number, **traced), SHOP)
    counts = bench.counts()
    assert len(bench.spans) == 2 * len(bench.internal()) == 2 * counts["span"]
    assert counts["span"] + counts["unsampled"] == 40
    assert 0 < counts["span"] < 40


def test_its_flags_are_those_of_the_parent() -> None:
    bench = Bench()
    bench.seen(handshake())
    header = {"context_source": int(ContextSource.HEADER), "parent_id": b"\7" * 8, "trace_flags": 3}
    bench.stage.call(first_call(**header), SHOP)
    parent, child = bench.spans
    assert child.trace_flags == parent.trace_flags == 3
    assert child.parent_span_id == parent.span_id


def test_a_server_s_handshake_is_only_measured() -> None:
    bench = Bench()
    bench.seen(handshake(role=SERVER))
    bench.seen(failed(role=SERVER, tls=tls(0, 0, 0, 0, alert=49)))
    bench.stage.call(first_call(role=SERVER), SHOP)
    assert not bench.internal()
    assert bench.counts() == {"seen": 2, "no_span": 2}
    one, other = bench.durations()
    assert dict(one.attributes) == {"role": "server", "tls.protocol.version": "1.3", "tls.resumed": False}
    assert dict(other.attributes) == {"role": "server", "error.type": "unknown_ca"}


def test_the_metric_of_a_client() -> None:
    bench = Bench()
    bench.seen(handshake())
    bench.seen(handshake(request=client_hello("other.example"), connection=78))
    (point,) = bench.durations()
    assert dict(point.attributes) == {
        "role": "client",
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 443,
        "tls.protocol.version": "1.3",
        "tls.resumed": False,
    }
    assert sum(point.value.counts) == 2
    assert point.value.total == pytest.approx(0.008)
    assert bench.metrics is not None
    (descriptor,) = [
        one
        for one, _ in bench.metrics.instruments.collect(2).instruments
        if one.name == "ebpf.tls.handshake.duration"
    ]
    assert (descriptor.unit, descriptor.bounds) == ("s", THE_14)


@pytest.mark.parametrize("traces", [True, False])
def test_metrics_and_traces_off(traces: bool) -> None:
    bench = Bench(metrics=not traces, traces=traces)
    bench.seen(handshake(lost=3))
    bench.seen(failed(connection=78))
    bench.stage.call(first_call(), SHOP)
    expected = {"span": 2} if traces else {"no_span": 2}
    assert bench.counts() == {"seen": 2} | expected


def test_without_traces_the_server_s_name_is_known_all_the_same() -> None:
    bench = Bench(traces=False)
    bench.seen(handshake())
    plan = bench.stage.call(first_call(value(host="10.0.0.1"), flags=TLS), SHOP)
    assert plan is not None
    assert ("server.address", "shop.example") in plan.shape.metric_attributes


def test_a_handshake_that_discovery_excludes_is_counted_and_no_more() -> None:
    bench = Bench()
    bench.seen(handshake(), None)
    bench.stage.call(first_call(), SHOP)
    assert not bench.internal()
    assert not bench.durations()
    assert bench.counts() == {"seen": 1, "discovery": 1}


def test_a_role_that_is_not_settled_makes_neither() -> None:
    bench = Bench()
    bench.seen(handshake(role=int(Role.UNKNOWN)))
    assert not bench.durations()
    assert bench.counts() == {"seen": 1, "role_unknown": 1}


def close(connection: int = 77) -> Close:
    one = record(role=CLIENT, connection=connection)
    return Close(*(getattr(one, name, 0) for name in Close._fields))


def test_a_handshake_without_a_call_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.seen(handshake())
    bench.handshakes.closed(close(78))
    assert bench.counts() == {"seen": 1, "in_flight": 1}
    bench.handshakes.closed(close())
    bench.handshakes.closed(close())
    assert bench.counts() == {"seen": 1, "no_call": 1}
    assert not bench.handshakes.server_names
    bench.seen(handshake())
    bench.seen(handshake())  # once more on the same connection
    assert bench.counts() == {"seen": 3, "no_call": 2, "in_flight": 1}
    monkeypatch.setattr(bench.handshakes, "_maximum", 2)
    for number in range(100, 103):
        bench.seen(handshake(connection=number))
    assert bench.counts() == {"seen": 6, "no_call": 4, "in_flight": 2}
    bench.stage.call(first_call(connection=100), SHOP)
    assert not bench.internal()
    bench.stage.call(first_call(connection=102), SHOP)
    assert len(bench.internal()) == 1


def test_an_error_of_a_neighbour_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def broken(_: Span) -> None:
        raise RuntimeError("no more room")

    bench.handshakes._emit = broken
    bench.seen(failed())
    bench.seen(handshake())
    bench.stage.call(first_call(), SHOP)
    bench.seen(handshake(tls=b""))
    assert bench.counts() == {"seen": 3, "failed": 3}
    assert len([one for one in caplog.records if "handshake" in one.message]) == 1


ALERT = tls(0, 0, 0, 0, alert=41)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tls": ALERT}, "handshake_failure"),
        ({"tls": ALERT, "end": int(End.RESET), "error": errno.ECONNRESET}, "handshake_failure"),
        ({"tls": tls(0, 0, 0, 0, alert=46)}, "certificate_expired"),
        ({"tls": tls(0, 0, 0, 0, alert=121)}, "no_application_protocol"),
        ({"tls": tls(0, 0, 0, 0, alert=1)}, "close_notify"),
        ({"tls": tls(0, 0, 0, 0, alert=201)}, "_OTHER"),
        ({"tls": tls(alert=255)}, "encrypted_alert"),
        ({"end": int(End.RESET)}, "connection_reset"),
        ({"end": int(End.RESET), "error": errno.ETIMEDOUT}, "timeout"),
        ({"end": int(End.FIN), "flags": int(Capture.TLS | Capture.PEER_CLOSED)}, "connection_closed"),
        ({"end": int(End.FIN)}, "connection_aborted"),
        ({"end": int(End.IDLE)}, "_OTHER"),
        ({"end": int(End.UPGRADE)}, "_OTHER"),
        ({"end": 99}, "_OTHER"),
    ],
)
def test_a_failed_handshake_is_a_span_of_its_own(changes: dict[str, Any], error: str) -> None:
    bench = Bench()
    bench.seen(failed(**changes))
    (span,) = bench.spans
    assert span.template.error
    assert (span.template.kind, span.parent_span_id) == (SpanKind.INTERNAL, b"")
    assert span.template.name == "TLS client handshake shop.example"
    assert attributes(span)["error.type"] == error
    assert (span.start, span.end) == (BOOT_TO_UNIX + START, BOOT_TO_UNIX + START + 2000)
    assert len(span.trace_id) == 16
    assert any(span.trace_id)
    assert dict(bench.durations()[0].attributes)["error.type"] == error
    assert bench.counts() == {"seen": 1, "span": 1}
    assert not bench.handshakes.server_names


def test_a_failed_handshake_is_sampled_as_a_root() -> None:
    bench = Bench("always_off")
    bench.seen(failed())
    assert not bench.spans
    assert bench.counts() == {"seen": 1, "unsampled": 1}


@pytest.mark.parametrize("request_", [b"", HELLO[:60], client_hello(None), b"GET / HTTP/1.1\r\n\r\n"])
def test_without_a_name_it_is_the_peer_s_address(request_: bytes) -> None:
    bench = Bench()
    bench.seen(handshake(request=request_))
    bench.stage.call(first_call(), SHOP)
    (child,) = bench.internal()
    assert child.template.name == "TLS client handshake 10.0.0.1"
    assert attributes(child)["server.address"] == "10.0.0.1"
    assert not bench.handshakes.server_names


@pytest.mark.parametrize(("request_", "name"), [(HELLO, "shop.example"), (b"", "")])
def test_of_a_socket_that_is_not_known_it_has_no_peer(request_: bytes, name: str) -> None:
    bench = Bench()
    bench.seen(handshake(request=request_, tls=bytes(8), **NO_SOCKET))
    bench.stage.call(first_call(**NO_SOCKET), SHOP)
    (child,) = bench.internal()
    assert child.template.name == f"TLS client handshake {name}".rstrip()
    assert attributes(child) == ({"server.address": name} if name else {})
    assert dict(bench.durations()[0].attributes) == {"role": "client"}


def test_of_a_unix_socket_the_peer_is_its_path() -> None:
    bench = Bench()
    facts = NO_SOCKET | {"transport": int(Transport.UNIX), "path": b"/run/x.sock"}
    bench.seen(handshake(request=b"", **facts))
    bench.stage.call(first_call(**facts), SHOP)
    (child,) = bench.internal()
    assert attributes(child)["server.address"] == "/run/x.sock"
    assert attributes(child)["network.transport"] == "unix"
    assert "server.port" not in attributes(child)


def test_what_repeats_is_one_template() -> None:
    bench = Bench()
    one = handshake()
    for number in range(3):
        bench.seen(one._replace(connection=number))
        bench.stage.call(first_call(connection=number), SHOP)
    assert len({id(span.template) for span in bench.internal()}) == 1
    other = service("other", 2)
    bench.seen(one, other)
    bench.stage.call(first_call(), other)
    assert bench.internal()[-1].template.service is other


def test_records_that_were_lost_before_it_are_counted() -> None:
    bench = Bench()
    bench.seen(handshake(lost=2))
    assert bench.metrics is not None
    found = {one.name: points for one, points in bench.metrics.instruments.collect(1).instruments}
    assert [point.value for point in found["ebpf.ledger.records"]] == [2]


def test_the_memory_is_bounded() -> None:
    bench = Bench()
    for number in range(handshakes.SERVER_NAMES + 10):
        bench.seen(handshake(connection=number, server_address=ipv4("10.0.0.1")))
    assert len(bench.handshakes.server_names) == handshakes.SERVER_NAMES
    assert bench.counts()["in_flight"] == len(bench.handshakes._waiting) == handshakes.WAITING
    assert len(bench.handshakes._shapes._templates) <= 1024


def test_the_name_goes_with_the_last_exchange() -> None:
    bench = Bench()
    bench.seen(handshake())
    bench.stage.call(first_call(), SHOP)
    assert bench.handshakes.server_names
    bench.stage.call(first_call(flags=TLS, end=int(End.FIN)), SHOP)
    assert not bench.handshakes.server_names


records = st.builds(
    handshake,
    transport=st.integers(0, 3),
    family=st.sampled_from([0, 1, 2, 10, 99]),
    role=st.integers(0, 3),
    flags=st.integers(0, 2**32 - 1),
    end=st.integers(0, 8),
    error=st.integers(0, 255),
    lost=st.integers(0, 5),
    tls=st.binary(min_size=8, max_size=8),
    connection=st.integers(0, 3),
    time=st.integers(0, 2**64 - 1),
    request_end=st.integers(0, 2**64 - 1),
    response_end=st.integers(0, 2**64 - 1),
    server_port=st.integers(0, 65535),
    server_address=st.binary(min_size=16, max_size=16),
    request=st.one_of(st.binary(max_size=200), st.just(HELLO)),
    path=st.binary(max_size=108),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(records, st.sampled_from([SHOP, None]), st.booleans()), max_size=12), st.booleans())
def test_whatever_comes_nothing_raises_and_the_books_balance(given_: list[Any], traces: bool) -> None:
    bench = Bench(traces=traces)
    for one, of, called in given_:
        bench.seen(one, of)
        if called:
            bench.stage.call(first_call(connection=one.connection), SHOP)
    counts = bench.counts()
    assert "failed" not in counts
    assert counts.pop("seen", 0) == len(given_) == sum(counts.values())
    assert counts.get("span", 0) == len(bench.internal())
    for span in bench.internal():
        assert span.end >= span.start
        assert set(attributes(span)) <= names.ATTRIBUTES


def test_a_service_without_spans_has_none_of_handshakes() -> None:
    """Nor of one that was seen while there were some; the metric goes on."""
    per_service = PerService()
    bench = Bench(per_service=per_service)
    bench.seen(handshake())
    per_service.untraced.add(SHOP)
    bench.stage.call(first_call(), SHOP)
    bench.seen(handshake())
    bench.seen(failed())
    assert not bench.spans
    assert bench.counts() == {"seen": 3, "no_span": 3}
    assert sum(sum(point.value.counts) for point in bench.durations()) == 3


def test_a_service_s_own_sampler_decides_on_its_handshakes() -> None:
    bench = Bench(per_service=PerService(samplers={SHOP: AlwaysOff().sample}))
    for of in (SHOP, service("till", 2)):
        bench.seen(handshake(), of)
        bench.stage.call(first_call(), of)
        bench.seen(failed(), of)
    assert {span.template.service.name for span in bench.internal()} == {"till"}
    assert bench.counts() == {"seen": 4, "span": 2, "unsampled": 2}
