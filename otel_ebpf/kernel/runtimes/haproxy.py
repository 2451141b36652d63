"""HAProxy: which request it works on when it asks another server.

Its functions stand among the dynamic symbols, for its own traces of where it stopped. What the probe reads
of its structs is not at the same place in all versions: where, functions say by the instructions with which
they read or write the same.

Source: sc_attach_mux in stconn.c, stream_new in stream.c and raw_sock_to_pipe in raw_sock.c of HAProxy 2.6
to 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from struct import Struct
from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf, Function
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "PLACES", "application", "descriptor", "find", "session"]

NAME: Final = "haproxy"
PLACES: Final = Struct("<III")  # struct haproxy_places
_KIND: Final = 3  # RUNTIME_HAPROXY
_IS_HAPROXY: Final = frozenset({"process_stream", "stream_new"})
_ATTACHES: Final = "sc_attach_mux"
_CODE: Final = 512  # bytes that are looked at

# mov N(%rdi),%rA; of the byte that it points to, movzbl (%rA),%eB; and cmp $9 and $10, which are the types of
# a stream and of a check.
_TYPED: Final = re.compile(
    rb"\x48\x8b[\x47\x4f\x57\x77](.)(?:(?!\x48\x8b[\x47\x4f\x57\x77]).){0,24}?"
    rb"\x0f\xb6.(?:\x3c\x09|\x80.\x09)\x74.(?:\x3c\x0a|\x80.\x0a)",
    re.DOTALL,
)
_STREAM: Final = re.compile(rb"(\x41?)\xc6([\x00-\x03\x06\x07])\x09")  # movb $9,(%rA): its type
_ARGUMENT: Final = re.compile(rb"([\x48\x49])\x89([\xf8-\xff])")  # mov %rdi,%rB
_EXTENDED: Final = re.compile(rb"\x48\x63[\x47\x4f\x57\x5f\x77\x7f](.)", re.DOTALL)  # movslq N(%rdi),%rA


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through HAProxy; None for other programs.

    Raises `BinaryError` for one that cannot be followed.
    """
    functions = elf.functions((*_IS_HAPROXY, *_PLACES))
    if not functions.keys() >= _IS_HAPROXY:
        return None
    if elf.machine != "x86_64":
        raise BinaryError(f"HAProxy on {elf.machine} is not followed: only that on x86-64 is")
    missing = _PLACES.keys() - functions.keys()
    if missing:
        raise BinaryError(f"HAProxy without {', '.join(sorted(missing))} is not followed: 2.6 and newer are")
    places = []
    for name, place in _PLACES.items():
        offset = place(_code(elf, functions[name]))
        if offset is None:
            raise BinaryError(f"what {name} of HAProxy does with its structs is not understood")
        places.append(offset)
    points = (Point("haproxy_attaches", elf.probed_entry(functions[_ATTACHES])),)
    return Runtime(NAME, _KIND, points, PLACES.pack(*places))


def application(code: bytes) -> int | None:
    """Return the offset of app in struct stconn, by the code of sc_attach_mux."""
    match = _TYPED.search(code)
    return match and match[1][0]


def session(code: bytes) -> int | None:
    """Return the offset of sess in struct stream, by the code of stream_new, whose first argument it is."""
    stream, argument = _STREAM.search(code), _ARGUMENT.search(code)
    if stream is None or argument is None:
        return None
    base, source = stream[2][0] | bool(stream[1]) << 3, (argument[2][0] & 7) | (argument[1][0] & 1) << 3
    # mov %rB,N(%rA)
    store = bytes((0x48 | source >> 3 << 2 | base >> 3, 0x89, 0x40 | (source & 7) << 3 | base & 7))
    match = re.search(re.escape(store) + b"(.)", code, re.DOTALL)
    return match and match[1][0]


def descriptor(code: bytes) -> int | None:
    """Return the offset of handle.fd in struct connection, by the code of raw_sock_to_pipe."""
    match = _EXTENDED.search(code)
    return match and match[1][0]


_PLACES: Final[dict[str, Callable[[bytes], int | None]]] = {
    _ATTACHES: application,
    "stream_new": session,
    "raw_sock_to_pipe": descriptor,
}


def _code(elf: Elf, function: Function) -> bytes:
    return elf.image.read(function.offset, min(function.size, _CODE))
