"""Probes that are a process's own, as they may be attached to it only at times.

V8 gives each of its isolates the built-in functions nearby: by mapping its file once more, or, where it
cannot open that, by a copy of the code. A breakpoint that is copied is nobody's, and ends the process. So
these probes are for processes that have mapped the code twice, and only while they can open their file
again: when its name is lost, as when a package is replaced, they are taken away within milliseconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.mappings import Mapping, times_mapped
from otel_ebpf.kernel.messages import AttachedFile, AttachFile, DetachFile, Point
from otel_ebpf.probing.files import File, version_of
from otel_ebpf.probing.inotify import Names

__all__ = ["OwnProbes"]

logger = logging.getLogger(__name__)

_TWICE: Final = 2


class OwnProbes:
    """Attaches to files for one process each, and detaches again. For one thread."""

    def __init__(self, attacher: Attacher, lost: Callable[[], object]) -> None:
        """`lost` is called, by another thread, when `sweep` is to be called soon."""
        self._attacher = attacher
        self._names = Names(lost)
        self._attached: dict[int, tuple[Mapping, int]] = {}
        self._refused: set[File] = set()

    def is_due(self, mapping: Mapping, points: tuple[Point, ...], pid: int) -> bool:
        """Say whether a process is still to get its probes."""
        return bool(points) and pid not in self._attached and mapping.file not in self._refused

    def consider(self, mapping: Mapping, points: tuple[Point, ...], pid: int) -> None:
        """Attach to the file for a process, unless that is done, or it is not the time yet."""
        if not self.is_due(mapping, points, pid) or not _opens(mapping, pid):
            return
        if times_mapped(pid, mapping.name, points[0].offset) < _TWICE:
            return
        if not self._names.watch(_name(mapping, pid)):
            return
        try:
            answer = self._attacher.handle(AttachFile(mapping.path, points, pid))
        except KernelError as error:
            # Gone is the path also where V8 has just mapped its code otherwise: it is tried again.
            if not error.passes and version_of(mapping.path) is not None:
                self._refused.add(mapping.file)
                logger.warning(
                    "probes in %s could not be attached: %s; take node_async out of traces.runtimes if that "
                    "is to stay so",
                    *(mapping.name, error),
                    extra={"path": mapping.name, "reason": str(error)},
                )
            return
        assert isinstance(answer, AttachedFile)
        self._attached[pid] = (mapping, answer.token)
        self.sweep()  # the name may have been lost before it was watched

    def sweep(self) -> None:
        """Take the probes from processes that are gone, or can no longer open their file."""
        for pid, (mapping, _) in tuple(self._attached.items()):
            if not _opens(mapping, pid):
                self.forget(pid)

    def forget(self, pid: int) -> None:
        """Take a process's probes away, if it has any."""
        known = self._attached.pop(pid, None)
        if known is not None:
            self._attacher.handle(DetachFile(known[1]))

    def detach(self, file: File) -> None:
        """Take a file's probes from all processes."""
        for pid, (mapping, _) in tuple(self._attached.items()):
            if mapping.file == file:
                self.forget(pid)


def _opens(mapping: Mapping, pid: int) -> bool:
    """Say whether a process finds its own memory's list, and in it the name of this very file."""
    try:
        stat = os.stat(_name(mapping, pid))
        return (stat.st_dev, stat.st_ino) == mapping.file and os.path.lexists(f"/proc/{pid}/root/proc/self")
    except (OSError, ValueError):
        return False


def _name(mapping: Mapping, pid: int) -> str:
    return f"/proc/{pid}/root{mapping.name}"
