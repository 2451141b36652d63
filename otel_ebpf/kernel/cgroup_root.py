"""The root of the unified hierarchy of cgroups, where programs see what all processes of the host do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from otel_ebpf.kernel.errors import KernelError

__all__ = ["cgroup_root", "open_root"]

_ROOT_INODE: Final = 1  # of every file system that kernfs makes
_MOUNTS: Final = Path("/proc/self/mountinfo")


def cgroup_root() -> Path:
    """Return where it is mounted. Raises `KernelError`, and `OSError`."""
    for line in _MOUNTS.read_text().splitlines():
        before, _, behind = line.partition(" - ")
        if behind.startswith("cgroup2 "):
            root = Path(before.split()[4])
            if root.stat().st_ino != _ROOT_INODE:
                raise KernelError(f"{root} is a container's part of the cgroups: use --cgroupns=host")
            return root
    raise KernelError("no cgroup2 is mounted, to which programs could be attached")


@contextmanager
def open_root() -> Iterator[int]:
    """Open it for the block, as programs are attached to. Raises `KernelError`."""
    try:
        root = os.open(cgroup_root(), os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise KernelError(str(error), error.errno or 0) from error
    try:
        yield root
    finally:
        os.close(root)
