"""Runtimes that switch between requests, and what the kernel side must know to follow them.

Another runtime is another module with a `find`, another kind in bpf/include/wire.h, and another case in
bpf/core/current_task.h.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_ebpf.kernel.binaries import Elf
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes import go, haproxy, java, nginx, node, python, ruby, uvloop
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAMES", "Runtime", "find", "may_hold_runtime"]

_RUNTIMES: Final = (go, nginx, haproxy, python, node, java, ruby)
NAMES: Final = tuple(one.NAME for one in _RUNTIMES)
_FINDERS: Final = (*(one.find for one in _RUNTIMES), uvloop.find)
_LIBRARIES: Final = ("libpython3.", "libjvm.so", "socket.so", "loop.cpython-")


def may_hold_runtime(path: str) -> bool:
    """Say whether a shared library's name makes it worth a look. An executable always is."""
    return path.rpartition("/")[2].startswith(_LIBRARIES)


def find(elf: Elf) -> Runtime | None:
    """Return the runtime in a file. Raises `BinaryError` where there is one that cannot be followed."""
    for finder in _FINDERS:
        runtime = finder(elf)
        if runtime is not None:
            return _addressed(elf, runtime)
    return None


def _addressed(elf: Elf, runtime: Runtime) -> Runtime:
    """Add the addresses by which the kernel side tells where a process has mapped the file."""
    code = next((load.address - load.offset for load in elf.loads if load.executable), 0)
    return replace(
        runtime,
        points=_with_addresses(elf, runtime.points),
        own_points=_with_addresses(elf, runtime.own_points),
        code_address=code,
    )


def _with_addresses(elf: Elf, points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Add the addresses of the probes' instructions. At the return of a function that is its caller's."""
    return tuple(
        point if point.at_return else point.with_cookie(elf.address(point.offset) or 0) for point in points
    )
