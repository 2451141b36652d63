"""Signals, operations: calls of protocols other than HTTP, whose words are the protocol's."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from signals_support import (
    BOOT_TO_UNIX,
    CLIENT,
    SECOND,
    SERVER,
    SHOP,
    UNIX,
    Bench,
    attributes,
    call,
    record,
    service,
)

from otel_ebpf.kernel.records import Capture, ContextSource, End, Role, Transport
from otel_ebpf.protocols.calls import Call, Duration, Operation
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.sampling import AlwaysOff
from otel_ebpf.signals.span import SpanKind

ASKED = Duration("client.duration", "What clients wait.", (0.1, 1.0))
GIVEN = Duration("server.duration", "What servers take.", (0.1, 1.0))


def operation(failed: str = "", server: Duration | None = None) -> Operation:
    return Operation("get", (("db.operation.name", "get"),), failed, ASKED, server)


def operated(value: Operation | None = None, of: Any = None, **options: Any) -> Call:
    return call(value or operation(), of or record(role=CLIENT, end=int(End.TURN)), **options)


def points(bench: Bench, name: str) -> list[Any]:
    assert bench.metrics is not None
    every = bench.metrics.instruments.collect(1).instruments
    return [point for descriptor, found in every if descriptor.name == name for point in found]


def test_a_client_s_call_is_a_span_and_a_duration() -> None:
    bench = Bench()
    assert bench.stage.call(operated(start=SECOND, end=SECOND + 500), SHOP) is None
    (span,) = bench.spans
    assert (span.template.name, span.template.kind, span.template.error) == ("get", SpanKind.CLIENT, False)
    assert (span.start, span.end) == (BOOT_TO_UNIX + SECOND, BOOT_TO_UNIX + SECOND + 500)
    where = {"server.address": "10.0.0.1", "server.port": 8080}
    peer = {"network.peer.address": "10.0.0.1", "network.peer.port": 8080}
    told = attributes(span)
    assert told.items() >= ({"db.operation.name": "get"} | where | peer).items()
    (point,) = points(bench, ASKED.name)
    assert dict(point.attributes) == {"db.operation.name": "get"} | where
    assert bench.counts() == {"seen": 1, "aggregated": 1, "span": 1}


def test_a_server_s_call_has_its_client_and_only_durations_that_the_conventions_know() -> None:
    bench = Bench()
    served = record(role=SERVER, end=int(End.TURN))
    bench.stage.call(operated(of=served), SHOP)
    (span,) = bench.spans
    assert span.template.kind == SpanKind.SERVER
    told = attributes(span)
    assert (told["client.address"], told["network.peer.port"]) == ("10.0.0.2", 40000)
    assert bench.counts() == {"seen": 1, "span": 1}
    bench.stage.call(operated(operation(server=GIVEN), served), SHOP)
    (point,) = points(bench, GIVEN.name)
    assert dict(point.attributes) == {"db.operation.name": "get"}
    assert not points(bench, ASKED.name)


@pytest.mark.parametrize(
    ("changes", "options", "failed", "expected"),
    [
        ({"end": int(End.TURN)}, {}, "", None),
        ({"end": int(End.TURN)}, {}, "WRONGTYPE", "WRONGTYPE"),
        ({"end": int(End.RESET)}, {"how": int(End.RESET)}, "", "connection_reset"),
        ({"error": errno.ETIMEDOUT}, {"error": errno.ETIMEDOUT, "how": int(End.RESET)}, "", "timeout"),
    ],
)
def test_how_it_ended(changes: Any, options: Any, failed: str, expected: str | None) -> None:
    bench = Bench()
    ending = {"how": int(End.TURN)} | options
    bench.stage.call(operated(operation(failed), record(role=CLIENT, **changes), **ending), SHOP)
    (span,) = bench.spans
    assert attributes(span).get("error.type") == expected
    assert span.template.error is bool(expected)


def test_without_an_answer() -> None:
    bench = Bench()
    gone = record(role=CLIENT, end=int(End.FIN), flags=int(Capture.PEER_CLOSED))
    bench.stage.call(operated(of=gone, how=int(End.FIN), response_start=0), SHOP)
    assert attributes(bench.spans[0])["error.type"] == "connection_closed"


def test_a_unix_socket() -> None:
    bench = Bench()
    of = record(role=CLIENT, transport=int(Transport.UNIX), family=UNIX, server_port=0, path=b"/run/cache\0")
    bench.stage.call(operated(of=of, how=int(End.TURN)), SHOP)
    told = attributes(bench.spans[0])
    assert (told["server.address"], told["network.transport"]) == ("/run/cache", "unix")
    assert "server.port" not in told


def test_the_books() -> None:
    for bench, expected in (
        (Bench("always_off"), {"seen": 1, "aggregated": 1, "unsampled": 1}),
        (Bench(traces=False), {"seen": 1, "aggregated": 1, "spans_off": 1}),
        (Bench(metrics=False), {"seen": 1, "span": 1}),
    ):
        bench.stage.call(operated(), SHOP)
        assert bench.counts() == expected
    bench = Bench()
    bench.stage.call(operated(of=record(role=int(Role.UNKNOWN))), SHOP)
    bench.stage.call(operated(operation()._replace(attributes=None)), SHOP)  # type: ignore[arg-type]
    assert bench.counts() == {"seen": 2, "role_unknown": 1, "failed": 1}


def test_a_server_s_own_question_without_a_parent_is_counted() -> None:
    bench = Bench()
    bench.stage.call(call(), SHOP)
    bench.stage.call(operated(context_source=int(ContextSource.AMBIGUOUS)), SHOP)
    (point,) = points(bench, "ebpf.trace.unparented")
    assert (point.value, dict(point.attributes)["reason"]) == (1, "ambiguous")


def test_nothing_is_kept_of_a_service_that_has_gone() -> None:
    bench = Bench()
    bench.stage.call(operated(), SHOP)
    bench.stage.forget(SHOP)
    assert points(bench, ASKED.name)  # collected once more
    assert not points(bench, ASKED.name)
    assert not bench.stage._operations._shapes._known


def test_what_is_not_the_same_for_all_services() -> None:
    """One without spans, one without metrics, one with a sampler of its own."""
    quiet, uncounted, unsampled = (service(name, 1) for name in ("quiet", "uncounted", "unsampled"))
    per_service = PerService({quiet}, {uncounted}, {unsampled: AlwaysOff().sample})
    bench = Bench(per_service=per_service)
    for one in (quiet, uncounted, unsampled):
        bench.stage.call(operated(), one)
    assert [span.template.service.name for span in bench.spans] == ["uncounted"]
    assert [point.service.name for point in points(bench, ASKED.name)] == ["quiet", "unsampled"]
    assert bench.counts() == {"seen": 3, "aggregated": 2, "span": 1, "unsampled": 1, "spans_off": 1}


def test_series_end_when_they_are_not_wanted_any_more_and_begin_anew() -> None:
    per_service = PerService()
    bench = Bench(per_service=per_service)
    bench.stage.call(operated(), SHOP)
    per_service.unmeasured.add(SHOP)
    bench.stage.renew(SHOP)
    bench.stage.call(operated(), SHOP)
    assert not points(bench, ASKED.name)
    per_service.unmeasured.discard(SHOP)
    bench.stage.renew(SHOP)
    bench.stage.call(operated(), SHOP)
    assert [sum(point.value.counts) for point in points(bench, ASKED.name)] == [1]
