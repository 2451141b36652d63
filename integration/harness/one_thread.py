"""A process of which one thread hangs: its first, held by ptrace(2), while the others go on."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from integration.harness.limits import PATIENCE, slack

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # include/uapi/linux/ptrace.h
_WALL = 0x40000000  # __WALL, waitpid(2)


def _ptrace(request: int, pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, None, None) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def stopped_thread(pid: int, others_go_on: Callable[[], bool]) -> Iterator[None]:
    """Hold the first thread of a process, at a moment when it has no lock that `others_go_on` needs."""
    deadline = time.monotonic() + slack(PATIENCE)
    _ptrace(_SEIZE, pid)
    while True:
        _ptrace(_INTERRUPT, pid)
        os.waitpid(pid, _WALL)
        if others_go_on():
            break
        _ptrace(_DETACH, pid)
        assert time.monotonic() < deadline, "whenever it is held, the others wait for it"
        _ptrace(_SEIZE, pid)
    try:
        yield
    finally:
        _ptrace(_DETACH, pid)
