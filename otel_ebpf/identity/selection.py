"""Into whose requests a context is written: the rules of `traces.inject`, evaluated.

What a rule says of the process is settled here, once for each process; what it says of ports only the kernel
can, for each connection. It is handed the rules that fit but for their ports, as bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from otel_ebpf.config import InjectRule
from otel_ebpf.identity.model import Process
from otel_ebpf.identity.naming import matches

__all__ = ["Selection"]


class Selection:
    """The rules. `any_port` are those that name no ports, `ports` has those that name each port, as bits."""

    def __init__(self, rules: Sequence[InjectRule]) -> None:
        self._rules = tuple(rules)
        self.any_port = sum(1 << bit for bit, rule in enumerate(rules) if not rule.ports)
        self.ports: dict[int, int] = {}
        for bit, rule in enumerate(rules):
            for port in rule.ports:
                self.ports[port] = self.ports.get(port, 0) | 1 << bit

    def rules_for(self, process: Process, service: str) -> int:
        """Return the rules that fit a process but for their ports; `service` is its service's name."""
        fitting = 0
        for bit, rule in enumerate(self._rules):
            if rule.service is not None and not fnmatchcase(service, rule.service):
                continue
            if matches(rule, process):
                fitting |= 1 << bit
        return fitting
