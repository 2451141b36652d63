"""Which rungs of the capture ladder the functional tests run on."""

from __future__ import annotations

import os


def _named(variable: str, default: str = "") -> tuple[str, ...]:
    names = os.environ.get(variable, default).split(",")
    return tuple(name.strip() for name in names if name.strip())


RUNGS = _named("OTEL_EBPF_TEST_RUNGS", "socket_trace,syscall")
"""`trampoline,kprobe` in a guest whose kernel has them."""

BRIEFLY = _named("OTEL_EBPF_TEST_BRIEFLY", "syscall")
"""Rungs on which a few files of tests are run and not all. All of them are run on `syscall` in a guest."""

ALL_RUNGS = ("trampoline", "socket_trace", "kprobe", "syscall")
