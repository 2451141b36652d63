"""Where and on what a result was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_MEASURED = ("bpf", "otel_ebpf", "benchmarks/*.py", "benchmarks/programs")


@dataclass(frozen=True, slots=True)
class Host:
    """The facts that a result is worth nothing without."""

    commit: str
    kernel: str
    cpu: str
    cpus: int
    python: str
    date: str
    load: float
    """Average number of runnable tasks over the last minute, when the benchmark began."""
    loop: float
    """Nanoseconds a turn of Python's empty loop: how fast this processor is, or how busy its sibling."""


_LOAD_AT_START = round(os.getloadavg()[0], 2)


def describe() -> Host:
    """Return the facts of this host and checkout."""
    return Host(
        commit=_commit(),
        kernel=platform.release(),
        cpu=_cpu(),
        cpus=os.cpu_count() or 0,
        python=platform.python_version(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        load=_LOAD_AT_START,
        loop=round(_loop(), 1),
    )


def _loop() -> float:
    turns = 1_000_000
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(turns):
            pass
        best = min(best, time.process_time() - began)
    return best / turns * 1e9


def _commit() -> str:
    """Return the short id of the commit, marked where what is measured differs from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", *_MEASURED)
    return f"{commit or 'unknown'}{' with changes' if changed else ''}"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
