"""x86-64 instructions, by the Capstone library.

Its Python package knows the registers of twenty architectures by name, which takes 7 MB and 60 ms in a
process that imports it. The library alone, which that package brings, takes 6 MB, until it is unloaded.

Source: cs_insn in capstone.h of version 5.
"""

from __future__ import annotations

import ctypes
import importlib.util
from _ctypes import dlclose
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

from otel_ebpf.kernel.binaries.errors import BinaryError

__all__ = ["disassembled", "unload"]

_VERSION: Final = 5
_ARCH_X86: Final = 3
_MODE_64: Final = 8


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("id", ctypes.c_uint),
        ("address", ctypes.c_uint64),
        ("size", ctypes.c_uint16),
        ("bytes", ctypes.c_ubyte * 24),
        ("mnemonic", ctypes.c_char * 32),
        ("operands", ctypes.c_char * 160),
        ("detail", ctypes.c_void_p),
    )


_Instructions = ctypes.POINTER(_Instruction)
_loaded: list[ctypes.CDLL] = []
_in_use = Lock()


def disassembled(code: bytes, address: int = 0) -> list[tuple[int, int, str, str]]:
    """Return address, size, mnemonic and operands of each instruction, up to the first that is none.

    `address` is the first one's. Raises `BinaryError` where the library cannot be had.
    """
    with _in_use:
        library = _library()
        handle = ctypes.c_size_t()
        if library.cs_open(_ARCH_X86, _MODE_64, ctypes.byref(handle)):
            raise BinaryError("capstone refuses to read x86-64")
        try:
            found = _Instructions()
            count = library.cs_disasm(handle, code, len(code), address, 0, ctypes.byref(found))
            lines = [
                (one.address, one.size, one.mnemonic.decode(), one.operands.decode()) for one in found[:count]
            ]
            library.cs_free(found, count)
            return lines
        finally:
            library.cs_close(ctypes.byref(handle))


def unload() -> None:
    """Give back the library's memory, until it is needed again: to load it takes 2 ms."""
    with _in_use:
        if _loaded:
            dlclose(_loaded.pop()._handle)


def _library() -> ctypes.CDLL:
    if _loaded:
        return _loaded[0]
    library = ctypes.CDLL(str(_path()))
    if (version := library.cs_version(None, None) >> 8) != _VERSION:
        raise BinaryError(f"capstone {version} is not the version that is known, {_VERSION}")
    library.cs_disasm.restype = ctypes.c_size_t
    library.cs_disasm.argtypes = [
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint64,
        ctypes.c_size_t,
        ctypes.POINTER(_Instructions),
    ]
    library.cs_free.argtypes = [_Instructions, ctypes.c_size_t]
    _loaded.append(library)
    return library


@cache
def _path() -> Path:
    package = importlib.util.find_spec("capstone")
    places = package.submodule_search_locations if package is not None else None
    if not places:
        raise BinaryError("capstone is not installed: install otel-ebpf with its dependencies")
    return Path(places[0]) / "lib" / "libcapstone.so"
