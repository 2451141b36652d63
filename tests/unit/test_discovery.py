"""Discovery: the rules, evaluated for a process and for its connections."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_support import process

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.config_rules import Rule
from otel_ebpf.identity.discovery import Decision, Discovery, Verdict
from otel_ebpf.identity.naming import matches
from otel_ebpf.identity.process import read_process

NGINX = process("/usr/sbin/nginx", "-g", "daemon off;")


def decide(include: tuple[Rule, ...] = (), exclude: tuple[Rule, ...] = ()) -> Decision:
    return Discovery(Rules(include=include, exclude=exclude)).decide(NGINX)


def test_nothing_given_is_everything() -> None:
    discovery = Discovery(Rules())
    assert discovery.unrestricted
    assert discovery.decide(NGINX) == Decision(Verdict.ON)
    assert discovery.allows(Decision(Verdict.ON), 80)
    assert discovery.port_rules() == {}


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule(executable="/usr/sbin/nginx"), True),
        (Rule(executable="/usr/*/ngin?"), True),
        (Rule(executable="nginx"), True),
        (Rule(executable="ngin[xy]"), True),
        (Rule(executable="/sbin/nginx"), False),
        (Rule(executable="usr"), False),
        (Rule(executable="NGINX"), False),
        (Rule(command_line="*daemon off;"), True),
        (Rule(command_line="daemon*"), False),
        (Rule(pids=(1, 4_000_000)), True),
        (Rule(pids=(1,)), False),
        (Rule(executable="nginx", command_line="*-g*", pids=(4_000_000,)), True),
        (Rule(executable="nginx", command_line="*-x*"), False),
    ],
)
def test_all_keys_of_a_rule_must_match(rule: Rule, fits: bool) -> None:
    assert decide(include=(rule,)).verdict is (Verdict.ON if fits else Verdict.OFF)
    assert decide(exclude=(rule,)).verdict is (Verdict.OFF if fits else Verdict.ON)


def test_a_path_is_compared_by_its_end_where_no_more_is_known() -> None:
    gone = process("nginx", executable="nginx")
    assert matches(Rule(executable="/usr/sbin/nginx"), gone)
    assert not matches(Rule(executable="/usr/sbin/apache2"), gone)


def test_pids_are_those_of_the_host_or_of_the_agents_view() -> None:
    inside = process("x", visible_pid=12)
    assert Discovery(Rules(include=(Rule(pids=(12,)),))).decide(inside).verdict is Verdict.ON


def test_rules_with_ports_are_bits() -> None:
    include = (
        Rule(executable="java", ports=(1,)),
        Rule(ports=(80,)),
        Rule(executable="nginx", ports=(80, 443)),
    )
    exclude = (Rule(executable="java"), Rule(executable="nginx", ports=(443,)))
    discovery = Discovery(Rules(include=include, exclude=exclude))
    decision = discovery.decide(NGINX)
    assert decision == Decision(Verdict.PORTS, 0b110, 0b10)
    assert discovery.port_rules() == {1: (0b1, 0), 80: (0b110, 0), 443: (0b100, 0b10)}
    assert [discovery.allows(decision, port) for port in (80, 443, 1, 0)] == [True, False, False, False]


def test_a_rule_without_ports_leaves_no_bits_that_the_kernel_would_read_as_only() -> None:
    decision = decide(include=(Rule(executable="nginx"), Rule(ports=(80,))), exclude=(Rule(ports=(81,)),))
    assert decision == Decision(Verdict.ON, 0, 0b1)


def test_the_64th_rule_is_the_64th_bit() -> None:
    rules = tuple(Rule(ports=(port,)) for port in range(1, 65))
    assert decide(include=rules).include_ports == (1 << 64) - 1


def test_the_agent_does_not_observe_itself() -> None:
    own = read_process(os.getpid())
    assert own is not None
    assert Discovery(Rules()).decide(own).verdict is Verdict.OFF


_RULES = st.lists(
    st.builds(
        Rule,
        executable=st.sampled_from([None, "nginx", "java"]),
        pids=st.sampled_from([(), (4_000_000,), (1,)]),
        ports=st.sets(st.integers(1, 4), max_size=2).map(tuple),
    ),
    max_size=4,
).map(tuple)


def kernel_admits(discovery: Discovery, decision: Decision, port: int) -> bool:
    """Do what `admitted` of bpf/core/process.h does with the decision as it is on the wire."""
    if decision.wire_verdict == 2:
        return False
    if not decision.include_ports and not decision.exclude_ports:
        return True
    rules = discovery.port_rules().get(port)
    if rules is None:
        return not decision.include_ports
    if rules.exclude & decision.exclude_ports:
        return False
    return not decision.include_ports or bool(rules.include & decision.include_ports)


@given(_RULES, _RULES, st.integers(0, 5))
def test_kernel_and_user_space_say_what_the_rules_say(
    include: tuple[Rule, ...], exclude: tuple[Rule, ...], port: int
) -> None:
    def fits(rule: Rule) -> bool:
        of_process = rule.executable in (None, "nginx") and rule.pids in ((), (4_000_000,))
        return of_process and (not rule.ports or port in rule.ports)

    discovery = Discovery(Rules(include=include, exclude=exclude))
    decision = discovery.decide(NGINX)
    expected = (not include or any(map(fits, include))) and not any(map(fits, exclude))
    assert discovery.allows(decision, port) is expected
    assert kernel_admits(discovery, decision, port) is expected
