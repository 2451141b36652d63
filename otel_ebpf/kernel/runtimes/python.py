"""CPython: the contexts of coroutines and callbacks, and who made them.

What a thread runs is known by its current context (PEP 567), to which the list of threads leads from the
variable _PyRuntime. Event loops give each task, and each callback, a copy of its maker's: the returns of
PyContext_CopyCurrent tell of each. Contexts are made in other ways too, of which nothing is to be known but
that an address is another's by then: what frees them tells.

Source: pycore_runtime.h, pycore_interp.h, pystate.h and context.c of CPython 3.9 to 3.13; the offsets are
those that a C compiler has for 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1 and 3.13.0.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final, NamedTuple

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "PLACES", "find"]

NAME: Final = "python"
PLACES: Final = Struct("<QQIHH")  # struct python_places
_KIND: Final = 5  # RUNTIME_PYTHON
_RUNTIME: Final = "_PyRuntime"
_CONTEXT_TYPE: Final = "PyContext_Type"
_COPY: Final = "PyContext_CopyCurrent"
_TAG: Final = b".cpython-3"
"""Of the names of extension modules that it takes: `.cpython-311-x86_64-linux-gnu.so`, flags behind 311."""
_LONGEST_TAG: Final = 8
_FREE: Final = 48
"""Offset in PyTypeObject of tp_dealloc."""


class _Offsets(NamedTuple):
    """In bytes."""

    interpreter: int
    """In _PyRuntime of `interpreters.main`."""
    threads: int
    """In PyInterpreterState of its list of threads."""
    thread_id: int
    """In PyThreadState."""
    context: int


_OFFSETS: Final = {
    9: _Offsets(40, 8, 176, 240),
    10: _Offsets(40, 8, 176, 240),
    11: _Offsets(48, 16, 152, 224),
    12: _Offsets(48, 72, 136, 208),
    13: _Offsets(640, 7344, 152, 208),
}
"""By the version behind 3."""


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through CPython; None for other files.

    Raises `BinaryError` for an interpreter that cannot be followed.
    """
    variables = elf.variables([_RUNTIME, _CONTEXT_TYPE])
    if _RUNTIME not in variables:
        return None
    if elf.machine != "x86_64":
        raise BinaryError(f"CPython on {elf.machine} is not followed: only that on x86-64 is")
    offsets = _offsets(elf)
    if _CONTEXT_TYPE not in variables:
        raise BinaryError(f"has no variable {_CONTEXT_TYPE}")
    places = PLACES.pack(
        variables[_RUNTIME] + offsets.interpreter,
        variables[_CONTEXT_TYPE],
        offsets.threads,
        offsets.thread_id,
        offsets.context,
    )
    points = (*_made(elf), _gone(elf, variables[_CONTEXT_TYPE]))
    return Runtime(NAME, _KIND, points, places)


def _made(elf: Elf) -> list[Point]:
    """Return the probes on what copies the current context."""
    function = elf.functions([_COPY]).get(_COPY)
    if function is None:
        raise BinaryError(f"has no function {_COPY}")
    entry = elf.returning_entry(function)
    if entry is not None and not elf.steps_at(entry):
        return [Point("python_made", entry, at_return=True)]
    try:
        returns = elf.returns(function)
    except BinaryError:  # it ends in another function
        return [Point("python_made", function.offset, at_return=True)]
    return [Point("python_made", offset) for offset in returns]


def _gone(elf: Elf, context_type: int) -> Point:
    """Return the probe on what frees a context."""
    function = elf.function(elf.pointer(context_type + _FREE), 0)
    if function is None:
        raise BinaryError(f"has no function that frees a {_CONTEXT_TYPE}")
    return Point("python_gone", elf.probed_entry(function))


def _offsets(elf: Elf) -> _Offsets:
    """Return where this version keeps what is read, by the name that it has for itself."""
    for load in sorted(elf.loads, key=lambda one: one.executable):  # where constants are, first
        for _, place in elf.image.search([_TAG], load.offset, load.size):
            start = place + len(_TAG)
            tag = elf.image.read(start, min(_LONGEST_TAG, elf.image.size - start)).partition(b"-")[0]
            version = re.fullmatch(rb"(\d+)", tag)
            if version is None:
                raise BinaryError(f"CPython 3.{tag!a} is not followed: it is a build of another layout")
            if int(version[1]) not in _OFFSETS:
                raise BinaryError(f"CPython 3.{int(version[1])} is not followed: only 3.9 to 3.13 are")
            return _OFFSETS[int(version[1])]
    raise BinaryError("its version of CPython is not known")
