"""Go: goroutines, who made them, and what net/http's client writes on whose behalf.

A goroutine is known by its struct g, to which a word below the thread pointer leads. Which goroutine made
which is told by the returns of runtime.newproc1; net/http's client hands requests to a goroutine for each
connection, which two probes follow.

Source: runtime/runtime2.go, runtime/proc.go and net/http/transport.go of Go 1.18 to 1.27.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf, GoBinary
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "PLACES", "find"]

NAME: Final = "go"
PLACES: Final = Struct("<II")  # struct go_places
_KIND: Final = 1  # RUNTIME_GO
_MADE: Final = "runtime.newproc1"
_CLIENT: Final = {
    "net/http.(*persistConn).roundTrip": "go_asks",
    "net/http.persistConnWriter.Write": "go_writes",
}
_SERVERS: Final = ("net/http.(*conn).serve", "github.com/valyala/fasthttp.(*Server).serveConn")
"""A program without any serves nobody: there is nothing to follow, and probes would cost for nothing."""
_WORD: Final = 8


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through a Go program; None for others, and for those that serve nobody.

    Raises `BinaryError` for one that cannot be followed.
    """
    if not elf.is_go():
        return None
    binary = GoBinary(elf)
    functions = binary.functions([_MADE, *_CLIENT, *_SERVERS])
    if not any(name in functions for name in _SERVERS):
        return None
    if elf.machine != "x86_64":
        raise BinaryError(f"goroutines on {elf.machine} are not followed: only those on x86-64 are")
    if elf.thread_local not in (0, _WORD):
        raise BinaryError("has thread-local variables of C's: goroutines are not found among them")
    if _MADE not in functions:
        raise BinaryError(f"has no function {_MADE}")
    points = [Point("go_made", offset) for offset in binary.exits(functions[_MADE])]
    points += [Point(_CLIENT[name], binary.entry(functions[name])) for name in _CLIENT if name in functions]
    places = PLACES.pack(_WORD, binary.field_offset("runtime.m", "curg") or 0)
    return Runtime(NAME, _KIND, tuple(points), places)
