"""BPF programs of the tests' own, beside the objects of the build."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from otel_ebpf.kernel.bpf_object import OBJECTS


def objects_and(name: str, folder: Path) -> Path:
    """Fill a folder with the build's objects and programs/`name`.bpf.c, compiled; return it."""
    for path in OBJECTS.glob("*.bpf.o"):
        (folder / path.name).symlink_to(path)
    source = Path(__file__).parent / "programs" / f"{name}.bpf.c"
    clang = shutil.which("clang-19") or shutil.which("clang-18") or shutil.which("clang")
    assert clang
    target = ["-target", "bpf", "-D__TARGET_ARCH_x86", f"-I/usr/include/{os.uname().machine}-linux-gnu"]
    built = folder / f"{name}.bpf.o"
    subprocess.run([clang, "-g", "-O2", *target, "-c", str(source), "-o", str(built)], check=True)
    return folder
