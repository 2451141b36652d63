"""What loading leaves behind: libbpf reads the whole kernel's BTF for each object, and frees it."""

from __future__ import annotations

import ctypes
from typing import Final

_ARENA_MAX: Final = -8  # M_ARENA_MAX, malloc.h


def share_one_heap() -> None:
    """Have all threads allocate from one heap, before there is a second one.

    The C library gives each thread a heap of its own, of which it gives back nothing at the end: what a
    thread that has loaded an object leaves is 28 MB.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_ARENA_MAX, 1)


def give_back_memory() -> None:
    """Return the C library's free memory to the kernel (malloc_trim of glibc; others do it themselves)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
