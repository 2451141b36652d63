"""Java's virtual machine, HotSpot: a request that it makes while exactly one that it was asked is open.

What its threads work on cannot be told from outside: pools hand work over in memory. So nothing is probed,
and requests are counted instead: see bpf/core/serving_process.h.
"""

from __future__ import annotations

from typing import Final

from otel_ebpf.kernel.binaries import Elf
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "find"]

NAME: Final = "java"
_KIND: Final = 6  # RUNTIME_JAVA
_MAKES: Final = "JNI_CreateJavaVM"
_STARTS: Final = "JVM_StartThread"


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through a JVM, if the file is one."""
    if not elf.functions((_MAKES, _STARTS)).keys() >= {_MAKES, _STARTS}:
        return None
    return Runtime(NAME, _KIND, (), b"")
