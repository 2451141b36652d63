"""Running a BPF iterator to its end."""

from __future__ import annotations

import os
from typing import Final

from otel_ebpf.kernel.libbpf import libbpf

__all__ = ["run_iterator"]

_BYTES: Final = 65536


def run_iterator(link: int) -> None:
    """Run the iterator of a link for all there is; what it writes is dropped. Raises `KernelError`."""
    fd = libbpf().integer("bpf_iter_create", link)
    try:
        while True:
            try:
                if not os.read(fd, _BYTES):
                    return
            except BlockingIOError:  # the kernel gives way to others after a million objects without output
                continue
    finally:
        os.close(fd)
