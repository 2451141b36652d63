"""How often each BPF program has run, and for how long: the kernel's own statistics.

The kernel counts while somebody has them enabled (BPF_ENABLE_STATS, 5.8), for all programs of the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.misses import info_of

__all__ = ["ProgramRuns", "Runs", "enable_statistics"]

_RUN_TIME: Final = 0  # BPF_STATS_RUN_TIME
_RUNS: Final = (Struct("<QQ"), 192)  # of struct bpf_prog_info: run_time_ns, run_cnt


class Runs(NamedTuple):
    """Of one program, since it was loaded and statistics were on."""

    nanoseconds: int
    number: int


class ProgramRuns:
    """The counters of `programs`: their names and file descriptors. Of equal names the sum is told."""

    def __init__(self, programs: Sequence[tuple[str, int]]) -> None:
        self._programs = programs

    def read(self) -> dict[str, Runs]:
        """Return them by name. Any thread; never raises."""
        layout, offset = _RUNS
        found: dict[str, Runs] = {}
        for name, fd in self._programs:
            nanoseconds, number = layout.unpack_from(info_of(fd), offset)
            before = found.get(name, Runs(0, 0))
            found[name] = Runs(before.nanoseconds + nanoseconds, before.number + number)
        return found


def enable_statistics() -> int:
    """Return a file descriptor; the kernel counts until it is closed. Raises `KernelError`."""
    return libbpf().integer("bpf_enable_stats", _RUN_TIME)
