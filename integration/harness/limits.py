"""How long things may take, and the factor by which a slow machine stretches that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

SLACK = float(os.environ.get("OTEL_EBPF_TEST_SLACK", "1"))
"""Multiplies every time limit; 10 or more in a guest under software emulation."""

PATIENCE = 40.0
"""Seconds, to be stretched, within which comes what comes at all. Far more than a busy host needs: tests
wait for things, and how soon they come is for the benchmarks to say."""

DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
"""In front of a command: it is told to end when the test run is killed, and cleans up after itself."""


def slack(seconds: float) -> float:
    """Stretch a time limit for the machine that this runs on."""
    return seconds * SLACK


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE, every: float = 0.02) -> bool:
    """Poll `condition` until it is true; False when `seconds` (stretched) have passed before."""
    deadline = time.monotonic() + slack(seconds)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
