"""The C library's functions that look up names, and where in its file the probes go.

glibc and musl have the same. Those without `_r` call those with it, and so they have no probes; getaddrinfo_a
has threads that call getaddrinfo. So has libuv, which is inside Node.js: its function tells who has asked.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from otel_ebpf.kernel.binaries import Elf
from otel_ebpf.kernel.libraries import Found, Hook, Library, find

__all__ = ["INSTALLED", "LIBC", "may_hold_resolver", "places"]

_CALLS: Final = ("getaddrinfo", "getnameinfo", "gethostbyname_r", "gethostbyname2_r", "gethostbyaddr_r")
LIBC: Final = "libc"
_LIBC: Final = Library(
    LIBC,
    frozenset({"getaddrinfo"}),
    tuple(Hook(one, "resolver_" + one.removesuffix("_r"), "resolver_return") for one in _CALLS),
)

_LIBUV: Final = Library("libuv", frozenset({"uv_getaddrinfo"}), (Hook("uv_getaddrinfo", "resolver_handed"),))

INSTALLED: Final = ("libc.so.6", "ld-musl-*.so.1")
"""Globs for the names by which loaders know the C library."""

# glibc before 2.34 is a file libc-2.31.so; musl is its own loader, which Debian has as libc.so.
_FILES: Final = ("libc.so*", "libc-2*.so", "ld-musl-*", "libc.musl-*", "libuv.so*")


def may_hold_resolver(path: str) -> bool:
    """Say whether a shared library's name makes it worth a look. An executable, maybe static, always is."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) for pattern in _FILES)


def places(elf: Elf) -> tuple[Found, ...]:
    """Return the C library and libuv in a file, where they have names. Raises `BinaryError`."""
    # What needs a loader has its C library elsewhere, and what exports it has it.
    loaded = elf.section(b".interp") is not None
    return find(elf, (_LIBC, _LIBUV), lambda found: loaded or bool(found))
