"""The clock of the kernel's records, and the wall's."""

from __future__ import annotations

from time import CLOCK_BOOTTIME, clock_gettime_ns, time_ns
from typing import Final

__all__ = ["boot_to_unix_ns"]

READINGS: Final = 3


def boot_to_unix_ns() -> int:
    """Return Unix time minus CLOCK_BOOTTIME in nanoseconds.

    The two cannot be read at one instant. Of several readings the quickest is taken: one during which
    the thread lost its processor is off by milliseconds.
    """
    return min(_reading() for _ in range(READINGS))[1]


def _reading() -> tuple[int, int]:
    """Return how long a reading took, and the offset as it shows it."""
    before = clock_gettime_ns(CLOCK_BOOTTIME)
    unix = time_ns()
    after = clock_gettime_ns(CLOCK_BOOTTIME)
    return after - before, unix - (before + after) // 2
