"""`traces.inject`: whose requests are selected, and what the kernel is told of it."""

from __future__ import annotations

import pytest
from identity_support import process

from otel_ebpf.config import Config, ConfigError, InjectRule, Traces
from otel_ebpf.config_file import parse
from otel_ebpf.identity.selection import Selection
from otel_ebpf.inject import inject_request
from otel_ebpf.signals.sampling import ALL, make_sampler

SHOP = process("/usr/bin/python3.11", "python3.11", "-m", "gunicorn", "shop:app")


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (InjectRule(service="shop"), True),
        (InjectRule(service="sho*"), True),
        (InjectRule(service="stock"), False),
        (InjectRule(executable="/usr/bin/python3*"), True),
        (InjectRule(executable="node"), False),
        (InjectRule(command_line="*gunicorn*"), True),
        (InjectRule(service="shop", executable="node"), False),
        (InjectRule(service="stock", command_line="*gunicorn*"), False),
        (InjectRule(ports=(80,)), True),
    ],
)
def test_a_rule(rule: InjectRule, fits: bool) -> None:
    assert Selection([rule]).rules_for(SHOP, "shop") == int(fits)


def test_rules_are_bits_by_their_place() -> None:
    rules = [
        InjectRule(service="shop"),
        InjectRule(service="stock"),
        InjectRule(executable="python3*", ports=(80, 8080)),
        InjectRule(ports=(80,)),
    ]
    selection = Selection(rules)
    assert selection.rules_for(SHOP, "shop") == 0b1101
    assert selection.any_port == 0b0011
    assert selection.ports == {80: 0b1100, 8080: 0b0100}


def test_nothing_is_asked_for_by_default() -> None:
    assert inject_request(Config(), make_sampler()) is None
    rules = (InjectRule(service="shop"),)
    assert inject_request(Config(traces=Traces(enabled=False, inject=rules)), make_sampler()) is None


@pytest.mark.parametrize(
    ("name", "ratio", "by_parent", "below"),
    [
        ("", "", True, ALL),
        ("always_on", "", False, ALL),
        ("always_off", "", False, 0),
        ("parentbased_always_off", "", True, 0),
        ("traceidratio", "0.25", False, ALL // 4),
        ("parentbased_traceidratio", "0.5", True, ALL // 2),
    ],
)
def test_the_server_is_told_what_the_sampler_decides(
    name: str, ratio: str, by_parent: bool, below: int
) -> None:
    config = Config(traces=Traces(inject=(InjectRule(ports=(80,)),)))
    asked = inject_request(config, make_sampler(name, ratio))
    assert asked is not None
    assert (asked.by_parent, asked.sampled_below) == (by_parent, below)
    assert (asked.any_port, asked.ports) == (0, {80: 1})


def test_a_rule_that_would_select_everybody_is_refused() -> None:
    empty = r"traces\.inject\[0\]: the rule is empty .* give at least one of service"
    with pytest.raises(ConfigError, match=empty):
        parse("traces:\n  inject:\n    - {}\n")
    with pytest.raises(ConfigError, match=r"traces\.inject"):
        parse("traces:\n  inject:\n" + "    - service: a\n" * 33)
