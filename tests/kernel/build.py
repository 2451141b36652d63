"""Programs of the tests, compiled as the build compiles its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from otel_ebpf.kernel.bpf_object import OBJECTS

_PROGRAMS = Path(__file__).parent / "programs"


def with_object(directory: Path, name: str) -> Path:
    """Fill `directory` with the objects of the build and with one of programs/; return it."""
    for path in OBJECTS.glob("*.bpf.o"):
        (directory / path.name).symlink_to(path)
    clang = shutil.which("clang-19") or shutil.which("clang-18") or shutil.which("clang")
    assert clang
    target = ["-target", "bpf", "-D__TARGET_ARCH_x86", f"-I/usr/include/{os.uname().machine}-linux-gnu"]
    source, built = _PROGRAMS / f"{name}.bpf.c", directory / f"{name}.bpf.o"
    subprocess.run([clang, "-g", "-O2", *target, "-c", str(source), "-o", str(built)], check=True)
    return directory
