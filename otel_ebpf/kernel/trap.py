"""What one hit of a probe costs a program here.

A probe in user space is a trap into the kernel: a microsecond on most hardware, a dozen in some virtual
machines, where each trap is taken twice. So it is measured, on a function of this process's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from otel_ebpf.kernel.binaries import Elf
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.mappings import executable_mappings
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.uprobes import Uprobes

__all__ = ["hit_ns"]

_FUNCTION: Final = "libbpf_num_possible_cpus"
_ROUNDS: Final = 5
_CALLS: Final = 50


def hit_ns(uprobes: Uprobes, program: str) -> int:
    """Return how many nanoseconds longer a call takes with `program` at its entry.

    Takes a few milliseconds. Raises `KernelError`, and `BinaryError` where libbpf cannot be looked into.
    """
    pid = os.getpid()
    path = next((one.path for one in executable_mappings(pid) if "/libbpf.so" in one.name), None)
    if path is None:
        raise KernelError("libbpf is not among this process's files")
    with Elf(path) as elf:
        functions = elf.functions([_FUNCTION])
        if _FUNCTION not in functions:
            raise KernelError(f"libbpf has no {_FUNCTION}")
        place = elf.probed_entry(functions[_FUNCTION])
    call = partial(libbpf().integer, _FUNCTION)
    without = _shortest(call)
    token = uprobes.attach(path, [Point(program, place)], pid)
    try:
        return max(_shortest(call) - without, 0)
    finally:
        uprobes.detach(token)


def _shortest(call: Callable[[], object]) -> int:
    """Return the nanoseconds of a call, by the round that was disturbed least."""
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter_ns()
        for _ in range(_CALLS):
            call()
        rounds.append(time.perf_counter_ns() - started)
    return min(rounds) // _CALLS
