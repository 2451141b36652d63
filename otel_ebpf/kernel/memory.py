"""What loading leaves behind: libbpf reads the whole kernel's BTF for each object, and frees it."""

from __future__ import annotations

import ctypes


def give_back_memory() -> None:
    """Return the C library's free memory to the kernel (malloc_trim of glibc; others do it themselves)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
