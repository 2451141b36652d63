"""Which processes and connections are observed: the rules of the configuration, evaluated.

What a rule says of the process is settled here, once for each process. What it says of ports can only
be settled for each connection, in the kernel: user space hands it, for each process, the rules that
fit but for their ports, as bits, and for each port the rules that name it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.config_rules import Rule
from otel_ebpf.identity.model import Process
from otel_ebpf.identity.traits import Traits

__all__ = ["Decision", "Discovery", "PortRules", "Verdict"]


class Verdict(IntEnum):
    """What is decided of a process."""

    ON = 1
    OFF = 2
    PORTS = 3  # only connections on ports that `include_ports` names


class Decision(NamedTuple):
    """The discovery decision on one process. The masks are bits by the rule's place in its list.

    `include_ports` is 0 unless the verdict is PORTS, and both are 0 where it is OFF: the kernel reads a
    set bit of it as "only these ports" (struct process_control, bpf/core/process.h).
    """

    verdict: Verdict
    include_ports: int = 0
    exclude_ports: int = 0

    @property
    def wire_verdict(self) -> int:
        """The same as enum verdict of wire.h, which tells PORTS from ON by `include_ports`."""
        return int(Verdict.OFF if self.verdict is Verdict.OFF else Verdict.ON)


class PortRules(NamedTuple):
    """The rules that name a port (struct port_rules)."""

    include: int
    exclude: int


_NONE = PortRules(0, 0)
_OFF = Decision(Verdict.OFF)


class Discovery:
    """The rules. `ruleset` is their generation, for the kernel to tell decisions made under older ones."""

    def __init__(self, rules: Rules, ruleset: int = 1) -> None:
        self._include = rules.include
        self._exclude = rules.exclude
        self.ruleset = ruleset
        self.unrestricted = not rules.include and not rules.exclude
        """Whether there are no rules: everything is observed."""
        ports: dict[int, PortRules] = {}
        for bit, rule in enumerate(rules.include):
            for port in rule.ports:
                known = ports.get(port, _NONE)
                ports[port] = known._replace(include=known.include | 1 << bit)
        for bit, rule in enumerate(rules.exclude):
            for port in rule.ports:
                known = ports.get(port, _NONE)
                ports[port] = known._replace(exclude=known.exclude | 1 << bit)
        self._ports = ports

    def only_pids(self, limit: int) -> frozenset[int]:
        """Return all that may be observed, where rules name them by id; nothing else, nor over `limit`."""
        if not all(rule.pids for rule in self._include):
            return frozenset()
        pids = frozenset(pid for rule in self._include for pid in rule.pids)
        return pids if len(pids) <= limit else frozenset()

    def port_rules(self) -> Mapping[int, PortRules]:
        """Return every port that a rule names, for the kernel's map `ports`."""
        return self._ports

    def decide(self, process: Process, service: str = "", language: str = "") -> Decision:
        """Decide on a process, whose service has that name and language. The agent itself is always OFF."""
        if process.visible_pid == os.getpid():
            return _OFF
        traits = Traits(process, service, language)
        excluded, exclude_ports = _fitting(self._exclude, traits)
        included, include_ports = _fitting(self._include, traits)
        if excluded:
            return _OFF
        if included or not self._include:
            return Decision(Verdict.ON, 0, exclude_ports)
        if include_ports:
            return Decision(Verdict.PORTS, include_ports, exclude_ports)
        return _OFF

    def allows(self, decision: Decision, port: int) -> bool:
        """Say what the kernel says of a connection, given the port of its listening side (0: none)."""
        if decision.verdict is Verdict.OFF:
            return False
        rules = self._ports.get(port, _NONE)
        if rules.exclude & decision.exclude_ports:
            return False
        return decision.verdict is Verdict.ON or bool(rules.include & decision.include_ports)


def _fitting(rules: tuple[Rule, ...], traits: Traits) -> tuple[bool, int]:
    """Return whether a rule without ports fits, and which of those with ports fit but for them."""
    whole, by_port = False, 0
    for bit, rule in enumerate(rules):
        if not traits.fit(rule):
            continue
        if rule.ports:
            by_port |= 1 << bit
        else:
            whole = True
    return whole, by_port
