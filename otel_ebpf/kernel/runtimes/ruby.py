"""CRuby: which request a thread of its servers begins to work on.

Ruby's sockets do not block, so who reads a request is not who works on it: Puma's reactor reads for its
workers, and so does a worker for another. But what works on a request begins with a question to its socket,
by Ruby's own `socket` library, whose calls into the C library are probed: see bpf/core/serving_ruby.h.

A Ruby thread is a thread of the kernel's, unless RUBY_MN_THREADS is set (from 3.3 on): such processes are
left alone.
"""

from __future__ import annotations

from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.binaries.imports import stubs
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "find"]

NAME: Final = "ruby"
_KIND: Final = 7  # RUNTIME_RUBY
_BEGINS: Final = "Init_socket"
_CLASS: Final = "rb_cBasicSocket"
_MOVES_THREADS: Final = "RUBY_MN_THREADS"
_PROBES: Final = {
    "getsockopt": "ruby_option",
    "getpeername": "ruby_peer",
    "getsockname": "ruby_name",
}
"""What socket.so calls, and the programs that see it."""


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through Ruby, if the file is its library for sockets.

    Raises `BinaryError` for one that cannot be followed.
    """
    if _BEGINS not in elf.functions([_BEGINS]) or _CLASS not in elf.variables([_CLASS]):
        return None
    if elf.machine != "x86_64":
        raise BinaryError(f"Ruby on {elf.machine} is not followed: only that on x86-64 is")
    calls = stubs(elf, _PROBES)
    missing = sorted(_PROBES.keys() - calls.keys())
    if missing:
        raise BinaryError(f"has no stubs by which it calls {', '.join(missing)}")
    points = tuple(Point(_PROBES[name], place) for name, place in sorted(calls.items()))
    return Runtime(NAME, _KIND, points, b"", unless=_MOVES_THREADS)
