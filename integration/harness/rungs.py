"""Which rungs of the capture ladder the functional tests run on."""

from __future__ import annotations

import os

RUNGS: tuple[str, ...] = tuple(
    rung.strip()
    for rung in os.environ.get("OTEL_EBPF_TEST_RUNGS", "socket_trace,syscall").split(",")
    if rung.strip()
)
"""`trampoline,kprobe` in a guest whose kernel has them."""

ALL_RUNGS = ("trampoline", "socket_trace", "kprobe", "syscall")
