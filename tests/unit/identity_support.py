"""Processes and records for the tests of identity."""

from __future__ import annotations

from typing import Any

from otel_ebpf.identity.model import Process
from otel_ebpf.kernel.records import ProcessSeen, Role
from otel_ebpf.kernel.vantage import Vantage


def process(*command_line: str, **given: Any) -> Process:
    """Return a process that is not in /proc, started with these arguments."""
    facts: dict[str, Any] = {
        "pid": 4_000_000,
        "start": 1_000_000_000,
        "parent": 1,
        "executable": command_line[0] if command_line else "",
        "command_line": command_line,
        "user": 0,
        "environment": {},
    }
    return Process(**{**facts, **given})


def notice(**given: Any) -> ProcessSeen:
    """Return the kernel's notice of a process that is not in /proc."""
    facts: dict[str, Any] = {
        "kind": 5,
        "process": 4_000_000,
        "agent_process": 0,
        "network_namespace": 1,
        "process_start": 1_000_000_000,
        "cgroup": 1,
        "parent": 1,
        "user": 0,
        "command": b"shop",
        "executable": b"shop",
        "arguments": b"/opt/shop\0--fast\0",
        "environment": b"",
    }
    return ProcessSeen(**{**facts, **given})


def vantage(**given: Any) -> Vantage:
    """Return that process's as a server on port 80."""
    facts: dict[str, Any] = {
        "transport": 1,
        "family": 2,
        "role": int(Role.SERVER),
        "process_start": 1_000_000_000,
        "cgroup": 0,
        "process": 4_000_000,
        "agent_process": 0,
        "server_address": bytes(16),
        "network_namespace": 0,
        "server_port": 80,
    }
    return Vantage(**{**facts, **given})
