"""uvloop, an event loop for CPython: what it reads and writes in no context of its tasks.

Its functions stand among its symbols in the wheels of PyPI, and not where they were stripped, as
distributions do. What it says is added to what CPython's own probes tell: see bpf/core/serving_uvloop.h.
"""

from __future__ import annotations

from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes import python
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["find"]

_NO_KIND: Final = 0  # RUNTIME_NONE: the process's runtime is CPython
_BEGINS: Final = "PyInit_loop"
_CALLS: Final = "__pyx_f_6uvloop_4loop_run_in_context1"
_WRITES: Final = "__pyx_f_6uvloop_4loop_8UVStream__buffer_write"


def find(elf: Elf) -> Runtime | None:
    """Return what is added where CPython uses uvloop, if the file is uvloop's.

    Raises `BinaryError` for one that cannot be followed.
    """
    if _BEGINS not in elf.functions([_BEGINS]):
        return None
    functions = elf.functions((_CALLS, _WRITES))
    if functions.keys() != {_CALLS, _WRITES}:
        raise BinaryError("is uvloop without its symbols, or of a version that is not known")
    calls, writes = functions[_CALLS], functions[_WRITES]
    points = (
        Point("uvloop_calls", elf.probed_entry(calls)),
        *(Point("uvloop_called", place) for place in elf.ends(calls)),
        Point("uvloop_writes", elf.probed_entry(writes)),
    )
    return Runtime(python.NAME, _NO_KIND, points, b"")
