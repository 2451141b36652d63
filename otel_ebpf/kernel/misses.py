"""Events for which the kernel did not run a program that is attached, by the kernel's own counters.

Two kinds. A program that is running already on a CPU is not entered again there: `recursion_misses` of the
program (5.12; raw tracepoints from 6.2, kprobes from 6.7). A kprobe that fires inside another, or a return
probe without a free instance: `missed` of the link (6.7). Before 6.7 a missed kprobe is not told; bytes
that it loses still show as `event_gap`, and a lost return of a send as `event_threads_full`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from struct import Struct
from typing import Final

from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libbpf import libbpf

# include/uapi/linux/bpf.h: what the kernel does not know, or has no use for, it leaves zero.
_INFO_BYTES: Final = 256
_RECURSION_MISSES: Final = (Struct("<Q"), 208)  # of struct bpf_prog_info
_LINK: Final = Struct("<III4xI")  # of struct bpf_link_info: type, id, program, then the kind of perf event
_MISSED: Final = (Struct("<Q"), 48)  # of struct bpf_link_info, perf_event.kprobe.missed
_LINK_PERF_EVENT: Final = 7  # BPF_LINK_TYPE_PERF_EVENT
_KPROBES: Final = (3, 4)  # BPF_PERF_EVENT_KPROBE, BPF_PERF_EVENT_KRETPROBE


class Misses:
    """The counters of what is attached: `programs` and `links` are file descriptors."""

    def __init__(self, programs: Sequence[int], links: Sequence[int]) -> None:
        self._programs = programs
        self._links = links

    def total(self) -> int:
        """Return how many events were missed since everything was attached. Any thread; never raises."""
        programs = sum(recursion_misses(info_of(fd)) for fd in self._programs)
        return programs + sum(probe_misses(info_of(fd)) for fd in self._links)


def recursion_misses(info: bytes) -> int:
    """Read a `struct bpf_prog_info`, zeros behind what the kernel wrote."""
    layout, offset = _RECURSION_MISSES
    return int(layout.unpack_from(info, offset)[0])


def probe_misses(info: bytes) -> int:
    """Read a `struct bpf_link_info`, zeros behind what the kernel wrote; 0 for what is no kprobe."""
    kind, _, _, event = _LINK.unpack_from(info)
    if kind != _LINK_PERF_EVENT or event not in _KPROBES:
        return 0
    layout, offset = _MISSED
    return int(layout.unpack_from(info, offset)[0])


def info_of(fd: int) -> bytes:
    """Return what the kernel says of a program or link by its descriptor; zeros where it says nothing."""
    info, size = ctypes.create_string_buffer(_INFO_BYTES), ctypes.c_uint32(_INFO_BYTES)
    try:
        libbpf().integer("bpf_obj_get_info_by_fd", fd, info, ctypes.byref(size))
    except KernelError:
        return bytes(_INFO_BYTES)  # a perf event of before 5.15, which is no BPF link
    return info.raw
