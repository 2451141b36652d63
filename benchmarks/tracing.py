"""The agent as users run it, beside a backend that counts bytes; what it costs, and what it lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.host import ROOT
from integration.harness.agent import Agent, AgentError
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Entry

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_SECONDS, _QUIET_LIMIT = 0.1, 3.0
# The harness shortens these for tests; empty is unset: what users get.
_DEFAULTS = {"OTEL_BSP_SCHEDULE_DELAY": "", "OTEL_METRIC_EXPORT_INTERVAL": ""}
_DROPPED = tuple(
    entry.name.lower()
    for entry, description in zip(Entry, DESCRIPTIONS, strict=True)
    if description.outcome == "dropped"
    and description.unit not in ("event", "data_point", "socket", "measurement", "peer")
)
"""What loses requests. Events can be lost without harm: the body of a file sent by the kernel itself."""


@dataclass(slots=True)
class Receiver:
    """A backend in a process of its own. `received` is the number of bytes, once it has ended."""

    endpoint: str
    received: int = 0


@contextmanager
def counting_receiver(cpu: int | None = None) -> Iterator[Receiver]:
    """Run tests/otlp_receiver.py as a program that decodes nothing, on any processor or on one."""
    command = [sys.executable, str(ROOT / "tests" / "otlp_receiver.py")]
    if cpu is not None:
        command = ["taskset", "--cpu-list", str(cpu), *command]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        receiver = Receiver(process.stdout.readline().split()[0])
        try:
            yield receiver
        finally:
            process.stdin.close()
            receiver.received = int(process.stdout.readline() or 0)


@contextmanager
def traced(endpoint: str, config: Mapping[str, Any], rung: str = "") -> Iterator[Agent]:
    """Run the agent from `ready` to its end. How fast it stops is for the tests to judge."""
    agent = Agent(endpoint=endpoint, rung=rung, config=config, environment=_DEFAULTS)
    agent.launch()
    agent.wait_ready()
    try:
        yield agent
    finally:
        with suppress(AgentError):
            agent.stop()
        agent.close()


def only(*executables: str) -> dict[str, Any]:
    """Return the configuration that selects programs by name."""
    return {"discovery": {"include": [{"executable": executable} for executable in executables]}}


def only_pids(pids: Iterable[int]) -> dict[str, Any]:
    """Return the configuration that selects processes."""
    return {"discovery": {"include": [{"pids": list(pids)}]}}


def cpu_seconds(*pids: int) -> float:
    """User and system time of processes so far, all their threads together (proc(5), stat)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def wait_quiet(pid: int) -> None:
    """Wait until a process has done what it was behind with: no CPU time used for a while."""
    deadline = time.monotonic() + _QUIET_LIMIT
    before = cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_SECONDS)
        now = cpu_seconds(pid)
        if now - before <= 1 / _TICKS:
            return
        before = now


def lost(ledger: Mapping[str, int]) -> dict[str, int]:
    """Return what was dropped, by reason; empty when nothing was."""
    return {name: ledger[name] for name in _DROPPED if ledger[name]}
