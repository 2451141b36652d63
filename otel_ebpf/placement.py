"""On which processors the agent runs: not on those that others saturate.

A server that has a processor to itself loses what the agent uses of it, and its caches besides, while
another processor may be idle half of the time; the kernel's balancing looks at longer spells than a
batch takes. So once a second the processors are looked at, and left alone where others had most of
the last one. Where that is all of them, none is.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["Placement", "crowded"]

_logger = logging.getLogger(__name__)

SATURATED: Final = 0.8
"""The share of a processor that others use, from which on the agent stays away from it. A server that
would use all of it has not much more than this while the agent is there too."""

RELEASED: Final = 0.65
"""The share below which it comes back."""

_STAT: Final = Path("/proc/stat")
_TASKS: Final = Path("/proc/self/task")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_current: Final = ctypes.CDLL(None).sched_getcpu


def idle_seconds() -> dict[int, float]:
    """Return how long each processor has been idle, waiting for I/O included (proc(5), /proc/stat)."""
    idle = {}
    for line in _STAT.read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            idle[int(name[3:])] = (int(ticks[3]) + int(ticks[4])) / _TICKS
    return idle


def crowded(others: Mapping[int, float], before: Set[int]) -> set[int]:
    """Return which processors to stay away from: `others` is the share of each that is not the agent's."""
    avoid = {cpu for cpu, share in others.items() if share > (RELEASED if cpu in before else SATURATED)}
    return set() if len(avoid) == len(others) else avoid


class Placement:
    """Keeps all threads of this process where there is room. Used by one thread, the busiest."""

    def __init__(self) -> None:
        """Note which processors the process was given; it never runs on others."""
        self._allowed = os.sched_getaffinity(0)
        self._avoided: set[int] = set()
        self._ran: Counter[int] = Counter()
        self._begin()

    def _begin(self) -> None:
        self._ran.clear()
        self._idle = idle_seconds()
        self._own = time.process_time()
        self._since = time.monotonic()

    def ran(self) -> None:
        """Note where a batch was worked on. What the process used is shared out by these notes."""
        self._ran[_current()] += 1

    def settle(self) -> None:
        """Look at what passed since the last call, and move if that is called for."""
        if len(self._allowed) < 2:
            return
        try:
            others = self._shares()
            self._begin()
        except OSError:  # as many files are open as may be: it stays where it is
            return
        avoid = crowded(others, self._avoided)
        if avoid == self._avoided:
            return
        self._avoided = avoid
        self._move(self._allowed - avoid)
        _logger.debug("running on processors %s: others saturate the rest", sorted(self._allowed - avoid))

    def _shares(self) -> dict[int, float]:
        """Return what others used of each allowed processor that is online, from 0 to 1."""
        took = max(time.monotonic() - self._since, 1e-3)
        own = (time.process_time() - self._own) / max(self._ran.total(), 1)
        return {
            cpu: 1 - (idle - self._idle[cpu] + own * self._ran[cpu]) / took
            for cpu, idle in idle_seconds().items()
            if cpu in self._allowed and cpu in self._idle
        }

    def _move(self, cpus: Set[int]) -> None:
        for task in _TASKS.iterdir():
            with suppress(OSError):  # a thread that has ended, or processors that were taken away
                os.sched_setaffinity(int(task.name), cpus)
