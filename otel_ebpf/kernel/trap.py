"""What one hit of a probe costs a program here.

A probe in user space is a trap into the kernel: a microsecond on most hardware, a dozen in some virtual
machines, where each trap is taken twice. So it is measured, on a function of this process's own.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Final

from otel_ebpf.kernel.binaries import Elf, Function
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.mappings import executable_mappings
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.uprobes import Uprobes

__all__ = ["call_ns", "hit_ns", "own_function"]

_FUNCTION: Final = "libbpf_num_possible_cpus"
_ROUNDS: Final = 5
_CALLS: Final = 50


def hit_ns(uprobes: Uprobes, program: str) -> int:
    """Return how many nanoseconds longer a call takes with `program` at its entry.

    Takes a few milliseconds. Raises `KernelError`, and `BinaryError` where libbpf cannot be looked into.
    """
    path, function = own_function()
    with Elf(path) as elf:
        place = elf.probed_entry(function)
    without = call_ns()
    token = uprobes.attach(path, [Point(program, place)], os.getpid())
    try:
        return max(call_ns() - without, 0)
    finally:
        uprobes.detach(token)


def own_function() -> tuple[str, Function]:
    """Return the function that `call_ns` calls, and the file that it is in. Raises as `hit_ns`."""
    libbpf()  # loaded
    path = next((one.path for one in executable_mappings(os.getpid()) if "/libbpf.so" in one.name), None)
    if path is None:
        raise KernelError("libbpf is not among this process's files")
    with Elf(path) as elf:
        functions = elf.functions([_FUNCTION])
    if _FUNCTION not in functions:
        raise KernelError(f"libbpf has no {_FUNCTION}")
    return path, functions[_FUNCTION]


def call_ns() -> int:
    """Return the nanoseconds of a call, by the round that was disturbed least."""
    call = partial(libbpf().integer, _FUNCTION)
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter_ns()
        for _ in range(_CALLS):
            call()
        rounds.append(time.perf_counter_ns() - started)
    return min(rounds) // _CALLS
