"""What is not the same for all services: spans, metrics, samplers and routes."""

from __future__ import annotations

from signals_support import CLIENT, SECOND, Bench, call, record, service, value

from otel_ebpf.kernel.records import Capture, ContextSource
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.route_rules import RouteRules, Rule
from otel_ebpf.signals.sampling import AlwaysOff, AlwaysOn

SHOP, TILL = service("shop", 1), service("till", 2)


def counted(bench: Bench) -> dict[str, int]:
    """Calls in the histograms of durations, by service."""
    assert bench.metrics is not None
    found: dict[str, int] = {}
    for descriptor, points in bench.metrics.instruments.collect(1).instruments:
        if descriptor.name.endswith("request.duration"):
            for point in points:
                name = point.service.name
                found[name] = found.get(name, 0) + sum(point.value.counts)  # type: ignore[union-attr]
    return found


def traced(bench: Bench) -> list[str]:
    return [span.template.service.name for span in bench.spans]


def routes(bench: Bench) -> list[object]:
    return [dict(span.attributes).get("http.route") for span in bench.spans]


def both(bench: Bench, **asked: object) -> None:
    for one in (SHOP, TILL):
        bench.stage.call(call(value(**asked)), one)


def test_no_spans_of_any_kind_of_one_service() -> None:
    """Neither of the request nor of how its connection was made; its metrics go on."""
    bench = Bench(per_service=PerService(untraced={SHOP}))
    made = record(role=CLIENT, flags=int(Capture.CONNECTED), connect_start=1, connect_end=SECOND // 2)
    for one in (SHOP, TILL):
        bench.stage.call(call(of=made), one)
    assert traced(bench) == ["till", "till"]
    assert counted(bench) == {"shop": 1, "till": 1}
    counts = bench.counts()
    assert (counts["seen"], counts["span"], counts["spans_off"]) == (2, 1, 1)
    assert counts["connect_seen"] == counts["connect_span"] == 1


def test_no_request_metrics_of_one_service() -> None:
    bench = Bench(per_service=PerService(unmeasured={SHOP}))
    both(bench)
    bench.stage.call(call(of=record(lost=3)), SHOP)
    assert traced(bench) == ["shop", "till", "shop"]
    assert counted(bench) == {"till": 1}
    assert bench.metrics is not None
    names = {one.name for one, points in bench.metrics.instruments.collect(2).instruments if points}
    assert "ebpf.ledger.records" not in names


def test_samplers_of_its_own() -> None:
    bench = Bench(per_service=PerService(samplers={SHOP: AlwaysOff().sample}))
    both(bench)
    assert traced(bench) == ["till"]
    bench = Bench("always_off", per_service=PerService(samplers={SHOP: AlwaysOn().sample}))
    both(bench)
    made = record(role=CLIENT, flags=int(Capture.CONNECTED), connect_start=1, connect_end=SECOND // 2)
    bench.stage.call(call(of=made, context_source=int(ContextSource.ROOT)), SHOP)
    assert traced(bench) == ["shop", "shop", "shop"]
    assert counted(bench) == {"shop": 2, "till": 1}


def test_routes_of_its_own_come_first() -> None:
    bench = Bench(per_service=PerService(routes={SHOP: RouteRules([Rule(None, ["/users/{who}"])])}))
    both(bench, path="/users/7")
    bench.stage.call(call(value(path="/items/7")), SHOP)
    assert routes(bench) == ["/users/{who}", "/users/{id}", "/items/{id}"]


def test_other_routes_are_taken_when_that_is_told() -> None:
    """Paths that are known already included; what was learned stays."""
    per_service = PerService()
    bench = Bench(per_service=per_service)
    both(bench, path="/users/7")
    per_service.routes[SHOP] = RouteRules([Rule(None, ["/users/{who}"])])
    bench.stage.renew(SHOP)
    both(bench, path="/users/7")
    assert routes(bench)[2:] == ["/users/{who}", "/users/{id}"]
    del per_service.routes[SHOP]
    bench.stage.renew(SHOP)
    bench.stage.call(call(value(path="/users/8", status=404)), SHOP)
    assert routes(bench)[4:] == ["/users/{id}"]


def test_series_end_when_they_are_not_wanted_any_more_and_begin_anew() -> None:
    per_service = PerService()
    bench = Bench(per_service=per_service)
    both(bench)
    assert counted(bench) == {"shop": 1, "till": 1}
    per_service.unmeasured.add(SHOP)
    bench.stage.renew(SHOP)
    both(bench)
    assert counted(bench) == {"till": 2}
    per_service.unmeasured.discard(SHOP)
    bench.stage.renew(SHOP)
    both(bench)
    both(bench)
    assert counted(bench) == {"shop": 2, "till": 4}


def test_metrics_of_requests_alone() -> None:
    """Where an entry has switched them on, there are none of lookups and handshakes."""
    bench = Bench(per_service=PerService(measures_network=False))
    assert bench.metrics is not None
    declared = {one.name for one, _ in bench.metrics.instruments.collect(1).instruments}
    assert "http.server.request.duration" in declared
    assert not declared & {"dns.lookup.duration", "ebpf.tls.handshake.duration", "ebpf.dns.retries"}
