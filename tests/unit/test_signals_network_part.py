"""The network's part in a request: attributes of its span, the connection's own, the lookup before it."""

from __future__ import annotations

from typing import Any

import pytest
from signals_support import BOOT_TO_UNIX, CLIENT, INET6, SECOND, SHOP, Bench, attributes, call, ipv4, record
from test_signals_lookups import lookup

from otel_ebpf.kernel.records import Capture, Exchange, Lookup, Role
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.signals.network_part import NetworkPart, part_attributes
from otel_ebpf.signals.recent_lookups import RECENT_NS, RecentLookups
from otel_ebpf.signals.span import Span

CONNECTED: dict[str, Any] = {"role": CLIENT, "flags": int(Capture.CONNECTED), "connect_start": SECOND // 2}
CONNECTED |= {"connect_end": SECOND // 2 + 3_000_000}


def spans_of(bench: Bench, *records: Exchange) -> list[Span]:
    for one in records:
        bench.stage.call(call(of=one), SHOP)
    return bench.spans


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ((0, 0, 0, 0, 0, 0, 0), {}),
        ((250, 0, 0, 0, 0, 0, 0), {"ebpf.tcp.rtt": 0.00025}),
        ((0, 90, 0, 0, 0, 0, 0), {"ebpf.tcp.min_rtt": 0.00009}),
        ((0, 0, 7_000_000, 0, 0, 0, 0), {"ebpf.response.time_to_first_byte": 0.007}),
        ((0, 0, 0, 2_000, 0, 0, 0), {"ebpf.request.wait.duration": 0.002}),
        ((0, 0, 0, 0, 3, 0, 0), {"ebpf.tcp.retransmits": 3}),
        ((0, 0, 0, 0, 0, 40_000_000, 0), {"ebpf.dns.lookup.duration": 0.04}),
        ((0, 0, 0, 0, 0, 0, 5_000_000), {"ebpf.request.accept.duration": 0.005}),
    ],
)
def test_only_what_is_known_is_told(part: NetworkPart, expected: dict[str, object]) -> None:
    assert dict(part_attributes(part)) == expected


def test_a_server_s_span() -> None:
    (span,) = spans_of(Bench(), record(rtt=1500, rtt_min=900, waited=2_000, retransmits=1))
    found = attributes(span)
    assert found["ebpf.tcp.rtt"] == 0.0015
    assert found["ebpf.tcp.min_rtt"] == 0.0009
    assert found["ebpf.tcp.retransmits"] == 1
    assert found["ebpf.request.wait.duration"] == 0.002
    assert found["ebpf.response.time_to_first_byte"] == 1e-6


def test_a_connection_that_was_accepted_late() -> None:
    """It has the same flag as a client's that was made, and is no span."""
    late = CONNECTED | {"role": int(Role.SERVER), "waited": 9_000}
    bench = Bench()
    (span,) = spans_of(bench, record(**late))
    assert attributes(span)["ebpf.request.accept.duration"] == 0.003
    assert attributes(span)["ebpf.request.wait.duration"] == 0.009
    assert "connect_seen" not in bench.counts()


def test_switched_off_nothing_is_told() -> None:
    bench = Bench(network=False)
    (span,) = spans_of(bench, record(rtt=1500, rtt_min=900, waited=2_000))
    assert not [name for name in attributes(span) if name.startswith("ebpf.")]


def test_a_response_that_never_came_has_no_first_byte() -> None:
    bench = Bench()
    bench.stage.call(call(of=record(rtt=9), response_start=0), SHOP)
    assert "ebpf.response.time_to_first_byte" not in attributes(bench.spans[0])


@pytest.mark.parametrize(
    ("family", "address", "name", "version"),
    [
        (2, ipv4("10.0.0.1"), "socket connect 10.0.0.1:8080", "ipv4"),
        (INET6, bytes(15) + b"\x01", "socket connect [::1]:8080", "ipv6"),
        (INET6, bytes(10) + b"\xff\xff\x0a\0\0\x01", "socket connect 10.0.0.1:8080", "ipv4"),
    ],
)
def test_the_connection_s_making_is_a_child(family: int, address: bytes, name: str, version: str) -> None:
    bench = Bench()
    client, connect = spans_of(bench, record(family=family, server_address=address, **CONNECTED))
    assert (connect.template.name, connect.template.kind) == (name, 1)
    assert (connect.trace_id, connect.parent_span_id) == (client.trace_id, client.span_id)
    assert connect.start - BOOT_TO_UNIX == SECOND // 2
    assert connect.end - connect.start == 3_000_000
    assert connect.end < client.start
    assert attributes(connect)["network.type"] == version
    assert bench.counts()["connect_seen"] == bench.counts()["connect_span"] == 1


def test_it_is_sampled_as_the_call_is() -> None:
    bench = Bench(sampler="always_off")
    assert not spans_of(bench, record(**CONNECTED))
    assert bench.counts()["connect_unsampled"] == 1


def test_without_spans_none_is_seen() -> None:
    bench = Bench(traces=False)
    spans_of(bench, record(**CONNECTED))
    assert "connect_seen" not in bench.counts()


def test_an_error_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(bench.stage._connects, "_sample", None)
    assert len(spans_of(bench, record(**CONNECTED), record(**CONNECTED))) == 2
    assert bench.counts()["connect_failed"] == bench.counts()["connect_seen"] == 2


def before(gap: int = 1000, process: int = 10, **changes: Any) -> Lookup:
    """Return one of 40 ms that ended `gap` before the connection was begun."""
    end = SECOND // 2 - gap
    seen_from = Vantage(0, 0, 0, 53, 0, 1, 1, process, process, bytes(16))
    facts = {
        "time": end - 40_000_000,
        "end": end,
        "addresses": ((2, ipv4("10.0.0.1")),),
        "vantage": seen_from,
    }
    return lookup(**(facts | changes))


def test_the_lookup_before_a_connection() -> None:
    bench = Bench(lookup_spans="none")
    bench.stage.lookups.seen(before(), SHOP)
    first, _, second, _ = spans_of(bench, record(**CONNECTED), record(connection=78, **CONNECTED))
    assert attributes(first)["ebpf.dns.lookup.duration"] == 0.04
    assert "ebpf.dns.lookup.duration" not in attributes(second), "it has used what was remembered"


@pytest.mark.parametrize(
    "changes",
    [
        {"gap": RECENT_NS + 1},
        {"gap": -1},
        {"addresses": ((2, ipv4("10.0.0.9")),)},
        {"result": -2},
        {"process": 11},
    ],
    ids=str,
)
def test_another_lookup_is_none_of_it(changes: dict[str, Any]) -> None:
    recent = RecentLookups()
    recent.learn(before(**changes))
    assert recent.take(record(**CONNECTED)) == 0


def test_a_lookup_of_several_addresses_is_taken_once() -> None:
    recent = RecentLookups()
    both = ((INET6, bytes(15) + b"\x01"), (2, ipv4("10.0.0.1")))
    recent.learn(before(addresses=both))
    assert recent.take(record(family=INET6, server_address=bytes(15) + b"\x01", **CONNECTED)) == 40_000_000
    assert recent.take(record(**CONNECTED)) == 0


def test_lookups_are_remembered_in_bounded_memory() -> None:
    recent = RecentLookups(kept=2)
    for last in (1, 2, 3):
        recent.learn(before(addresses=((2, ipv4(f"10.0.0.{last}")),)))
    assert len(recent._found) == 2
    assert recent.take(record(**CONNECTED)) == 0
