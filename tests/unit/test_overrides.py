"""`overrides`: what holds for each service, by the entries, the global settings, and what it does itself."""

from __future__ import annotations

from typing import Any

import pytest
from identity_support import process, vantage

from otel_ebpf.config import Config
from otel_ebpf.config_file import parse
from otel_ebpf.identity.model import Process, Service
from otel_ebpf.identity.own_traces import OwnTraces
from otel_ebpf.kernel.records import ContextSource, Role
from otel_ebpf.overrides import Overrides, leaves_out_tls, needs_start, switched_on
from otel_ebpf.reload import waits_for_restart
from otel_ebpf.signals.sampling import make_sampler

SHOP = process("/usr/bin/python3.11", "shop.py")
TILL = process("/usr/bin/node", "till.js")
ROOT = (b"\x01" * 16, b"\0" * 8, 0, int(ContextSource.ROOT))
SAMPLED_PARENT = (b"\x01" * 16, b"\x02" * 8, 1, int(ContextSource.HEADER))


class Settled:
    """Overrides by a configuration, and what they have told of."""

    def __init__(self, text: str = "", sampler: str = "", config: Config | None = None) -> None:
        self.renewed: list[Service] = []
        self.own = OwnTraces()
        self.overrides = Overrides(
            config or parse(text), make_sampler(sampler), self.own, self.renewed.append
        )

    def decide(self, name: str = "shop", of: Process = SHOP, service: Service | None = None) -> Service:
        service = service or Service(1, name, "python", (("service.name", name),))
        self.overrides.decide(of, service)
        return service

    def of(self, service: Service) -> tuple[bool, bool, bool]:
        """Whether it is traced, measured, and read over TLS."""
        here = self.overrides.per_service
        left = here.untraced, here.unmeasured, self.overrides.without_tls
        traced, measured, read = (service not in services for services in left)
        return traced, measured, read

    def sampled(self, service: Service, context: tuple[bytes, bytes, int, int] = ROOT) -> bool | None:
        sample = self.overrides.per_service.samplers.get(service)
        return sample(*context) if sample is not None else None

    def route(self, service: Service, path: str) -> str | None:
        rules = self.overrides.per_service.routes.get(service)
        return rules.of(service.name).match(path) if rules is not None else None


def entries(*listed: str, more: str = "") -> str:
    return f"overrides: [{', '.join(listed)}]\n{more}"


def test_without_entries_all_is_as_it_is_globally() -> None:
    settled = Settled()
    service = settled.decide()
    assert settled.of(service) == (True, True, True)
    assert settled.sampled(service) is None
    assert settled.route(service, "/a") is None
    assert not settled.overrides.apart


@pytest.mark.parametrize(("key", "place"), [("traces", 0), ("metrics", 1), ("tls", 2)])
def test_one_key_off_for_one_service(key: str, place: int) -> None:
    settled = Settled(entries(f"{{match: {{service: shop}}, {key}: false}}"))
    expected = [True, True, True]
    expected[place] = False
    assert settled.of(settled.decide("shop")) == tuple(expected)
    assert settled.of(settled.decide("till")) == (True, True, True)


def test_of_each_key_the_first_entry_that_matches_and_gives_it() -> None:
    settled = Settled(
        entries(
            "{match: {service: shop}, traces: true, sampler: always_off}",
            "{match: {command_line: '*till.js'}, metrics: false}",
            "{match: {service: '*'}, traces: false, metrics: true, tls: false, sampler: always_on}",
        )
    )
    shop, till = settled.decide("shop"), settled.decide("till", TILL)
    assert settled.of(shop) == (True, True, False)
    assert settled.sampled(shop) is False
    assert settled.of(till) == (False, False, False)
    assert settled.sampled(till) is True


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ("{executable: node}", False),
        ("{executable: python3*, language: python}", True),
        ("{owner: '0'}", True),
    ],
)
def test_entries_match_as_rules_of_discovery_do(match: str, fits: bool) -> None:
    settled = Settled(entries(f"{{match: {match}, traces: false}}"))
    assert settled.of(settled.decide()) == (not fits, True, True)


def test_an_entry_switches_on_what_is_off_for_all_others() -> None:
    text = "traces: {enabled: false}\nmetrics: {enabled: false}\ntls: {enabled: false}\n"
    settled = Settled(entries("{match: {service: shop}, traces: true, metrics: true, tls: true}", more=text))
    assert settled.of(settled.decide("shop")) == (True, True, True)
    assert settled.of(settled.decide("till")) == (False, False, False)
    assert not settled.overrides.per_service.measures_network


def test_tls_of_services_that_are_excluded_by_name() -> None:
    settled = Settled(
        entries("{match: {executable: node}, tls: true}", more="tls: {exclude_services: [pay*]}")
    )
    assert settled.of(settled.decide("payments")) == (True, True, False)
    assert settled.of(settled.decide("payments", TILL)) == (True, True, True)
    settled.overrides.reload(parse("tls: {exclude_services: [shop]}"))
    assert settled.of(settled.decide("shop")) == (True, True, False)
    assert settled.of(settled.decide("payments")) == (True, True, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (False, True, True)),
        ("instrumented: {traces: make, metrics: leave}", (True, False, True)),
        (entries("{match: {service: shop}, traces: true}"), (True, True, True)),
        (entries("{match: {service: shop}, metrics: false}"), (False, False, True)),
    ],
)
def test_a_service_that_exports_spans_of_its_own(text: str, expected: tuple[bool, bool, bool]) -> None:
    """From then on what `instrumented` says, but for what an entry gives."""
    settled = Settled(text)
    service = settled.decide()
    settled.own.exported(vantage(role=int(Role.CLIENT)), service)
    assert settled.of(service) == expected
    assert (settled.renewed == [service]) is ("metrics: leave" in text), "its series end"
    settled.own.forget(service)
    assert settled.of(service)[0]


def test_a_sampler_decides_as_it_is_defined() -> None:
    settled = Settled(
        entries(
            "{match: {service: shop}, sampler: always_off}",
            "{match: {service: till}, sampler: parentbased_always_off}",
            "{match: {service: none}, sampler: traceidratio, sampler_arg: 0}",
            "{match: {service: all}, sampler: traceidratio}",
        )
    )
    shop, till = settled.decide("shop"), settled.decide("till")
    assert (settled.sampled(shop), settled.sampled(shop, SAMPLED_PARENT)) == (False, False)
    assert (settled.sampled(till), settled.sampled(till, SAMPLED_PARENT)) == (False, True)
    assert settled.sampled(settled.decide("none"), SAMPLED_PARENT) is False
    assert settled.sampled(settled.decide("all")) is True


@pytest.mark.parametrize(
    ("everybodys", "entry", "is_apart"),
    [
        ("", "sampler: parentbased_always_on", False),
        ("", "sampler: parentbased_traceidratio, sampler_arg: 1", False),
        ("", "sampler: always_on", True),
        ("always_off", "sampler: traceidratio, sampler_arg: 0", False),
        ("", "sampler: always_off", True),
        ("", "traces: false", True),
        ("", "metrics: false", False),
    ],
)
def test_who_is_apart_for_what_others_are_told(everybodys: str, entry: str, is_apart: bool) -> None:
    settled = Settled(entries(f"{{match: {{service: shop}}, {entry}}}"), everybodys)
    service = settled.decide()
    assert (service in settled.overrides.apart) is is_apart


def test_routes_are_those_of_the_first_entry_that_has_some() -> None:
    settled = Settled(
        entries(
            "{match: {service: shop}, routes: [{patterns: ['/a/{x}']}, {service: till, patterns: ['/b']}]}",
            "{match: {service: none}, routes: []}",
            "{match: {service: '*'}, routes: [{patterns: ['/c']}]}",
        )
    )
    shop = settled.decide("shop")
    assert (settled.route(shop, "/a/1"), settled.route(shop, "/b"), settled.route(shop, "/c")) == (
        "/a/{x}",
        "",
        "",
    )
    assert settled.route(settled.decide("none"), "/c") is None
    assert settled.route(settled.decide("till"), "/c") == "/c"


def test_other_entries_hold_for_what_is_decided_on_from_then_on() -> None:
    """It is told only of whose requests have to be named or counted otherwise."""
    settled = Settled(entries("{match: {service: shop}, traces: false}"))
    service = settled.decide()
    settled.decide(service=service)
    settled.overrides.reload(parse(entries("{match: {service: shop}, sampler: always_off}")))
    assert settled.of(service) == (False, True, True), "not decided on anew yet"
    settled.decide(service=service)
    assert settled.of(service) == (True, True, True)
    assert settled.sampled(service) is False
    assert not settled.renewed
    for change in ("metrics: false", "metrics: true", "routes: [{patterns: [/a]}]", "routes: []"):
        before = len(settled.renewed)
        settled.overrides.reload(parse(entries(f"{{match: {{service: shop}}, {change}}}")))
        settled.decide(service=service)
        assert settled.renewed[before:] == [service], change
    assert settled.sampled(service) is None


def test_nothing_is_remembered_of_a_service_that_has_gone() -> None:
    settled = Settled(
        entries(
            "{match: {service: shop}, traces: false, metrics: false, tls: false, "
            "sampler: always_off, routes: [{patterns: [/a]}]}"
        )
    )
    service = settled.decide()
    settled.overrides.forget(service)
    here: Any = settled.overrides
    remembered = (here.per_service.untraced, here.per_service.unmeasured, here.per_service.samplers)
    assert not any((*remembered, here.per_service.routes, here.without_tls, here.apart, here._given))


def test_what_the_agent_is_made_ready_for() -> None:
    off = "traces: {enabled: false}\nmetrics: {enabled: false, processes: true}\ntls: {enabled: false}\n"
    assert switched_on(parse(off)) == parse(off)
    assert switched_on(Config()) == Config()
    ready = switched_on(
        parse(entries("{match: {service: a}, traces: true, metrics: true, tls: true}", more=off))
    )
    assert ready.traces.enabled
    assert ready.tls.enabled
    assert ready.metrics.enabled
    assert not any((ready.metrics.processes, ready.network.tcp.enabled, ready.network.udp))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("tls: {exclude_services: [a]}", True),
        ("tls: {enabled: false}", False),
        (entries("{match: {service: a}, tls: false}"), True),
        (entries("{match: {service: a}, tls: true}"), False),
        (entries("{match: {service: a}, tls: true}", more="tls: {enabled: false}"), True),
    ],
)
def test_whether_the_kernel_is_to_look_whose_tls_it_is(text: str, expected: bool) -> None:
    assert leaves_out_tls(parse(text)) is expected


@pytest.mark.parametrize(
    ("started", "entry", "expected"),
    [
        ("", "traces: true", False),
        ("", "traces: false", False),
        ("traces: {enabled: false}", "traces: true", True),
        ("traces: {enabled: false}", "metrics: false", False),
        ("metrics: {enabled: false}", "metrics: true", True),
        ("tls: {enabled: false}", "tls: true", True),
    ],
)
def test_what_was_not_made_ready_waits_for_the_next_start(started: str, entry: str, expected: bool) -> None:
    before, after = parse(started), parse(entries(f"{{match: {{service: a}}, {entry}}}", more=started))
    assert needs_start(before, after) is expected
    assert not needs_start(after, after)
    assert waits_for_restart(before, after) == []
