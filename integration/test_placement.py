"""The agent leaves a processor that others saturate, and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.limits import DIES_WITH_US, wait_until

_BUSY = "import time; end = time.monotonic() + 120\nwhile time.monotonic() < end: pass"


@contextmanager
def saturated(cpu: int) -> Iterator[None]:
    """Keep a processor busy, for two minutes at most."""
    command = [*DIES_WITH_US, "taskset", "--cpu-list", str(cpu), sys.executable, "-c", _BUSY]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


def processors_of(pid: int) -> list[set[int]]:
    """Return where each thread of a process may run."""
    return [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()]


@pytest.mark.fast
def test_a_saturated_processor_is_left_alone(start_agent: Callable[..., Traced]) -> None:
    given = os.sched_getaffinity(0)
    pid = start_agent().agent.pid
    busy = min(given)
    with saturated(busy):
        wait_until(lambda: all(busy not in allowed for allowed in processors_of(pid)))
        assert all(allowed == given - {busy} for allowed in processors_of(pid))
    wait_until(lambda: all(allowed == given for allowed in processors_of(pid)))
