"""Probes in user space: programs attached to offsets of a file, for all who map it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from otel_ebpf.kernel.bpf_object import BpfObject
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ladder import UPROBE_MULTI
from otel_ebpf.kernel.libbpf import UprobeOptions, libbpf
from otel_ebpf.kernel.messages import Point, ProbeCounts

__all__ = ["Uprobes"]

_KIND: Final = "uprobe"
_EVERYBODY: Final = -1
_LINK_CREATE: Final = 28  # enum bpf_cmd
_RETURN: Final = 1  # BPF_F_UPROBE_MULTI_RETURN
_BPF: Final = {"x86_64": 321, "aarch64": 280}  # the system call's number
_AT_ONCE: Final = 16


class _LinkCreate(ctypes.Structure):
    """union bpf_attr of BPF_LINK_CREATE, as far as uprobe_multi has it (6.6, 89ae89f53d20)."""

    _fields_ = (
        ("program", ctypes.c_uint32),
        ("target", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("link_flags", ctypes.c_uint32),
        ("path", ctypes.c_char_p),
        ("offsets", ctypes.c_void_p),
        ("reference_counts", ctypes.c_void_p),
        ("cookies", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class Uprobes:
    """Attaches the programs of loaded objects to files. Any thread.

    One link for all places of a program, where the kernel has that: to take a link away, it waits a tenth
    of a second for calls in progress. Else one for each place.
    """

    def __init__(self) -> None:
        self._objects: dict[str, BpfObject] = {}
        self._capabilities: dict[str, str] = {}  # by program
        self._links: dict[int, list[Callable[[], object]]] = {}
        self._probes: dict[int, Counter[tuple[str, str]]] = {}  # by token
        self._had: set[tuple[str, str]] = set()
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._last = 0
        self._detaching = ThreadPoolExecutor(_AT_ONCE, "detach")
        self._one_for_all = True
        self._cookies = True

    def add(self, capability: str, loaded: BpfObject) -> None:
        """Take in an object's programs."""
        self._objects |= dict.fromkeys(loaded.programs, loaded)
        self._capabilities |= dict.fromkeys(loaded.programs, capability)

    def count(self) -> ProbeCounts:
        """Return how many probes there are now, and how many files could not be attached to."""
        attached = dict.fromkeys(self._had.copy(), 0)  # 0 of what has been there: a series ends by that
        for kinds in self._probes.copy().values():
            for kind, number in kinds.items():
                attached[kind] += number
        return ProbeCounts(attached, self._failures.copy())

    def attach(self, path: str, points: Collection[Point], pid: int = 0) -> int:
        """Attach all `points` of the file at `path`, or none; return what `detach` takes.

        `pid` is the one process that pays for them, 0: all that map the file. Raises `KernelError`.
        """
        kinds = Counter((self._capabilities.get(point.program, ""), _KIND) for point in points)
        try:
            token = self._attach(path, points, pid)
        except KernelError as error:
            self._failures.update((*kind, error.reason) for kind in kinds)
            raise
        self._had.update(kinds)
        self._probes[token] = kinds
        return token

    def _attach(self, path: str, points: Collection[Point], pid: int) -> int:
        if self._one_for_all:
            try:
                return self._keep(self._attach_at_once, path, points, pid)
            except KernelError as error:
                if error.code not in {errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP}:
                    raise
        token = self._keep(self._attach_singly, path, points, pid)
        self._one_for_all = False
        return token

    def detach(self, token: int) -> None:
        """Begin to undo an `attach`: for each link the kernel takes a tenth of a second."""
        self._probes.pop(token, None)
        for undo in self._links.pop(token, []):
            self._detaching.submit(undo)

    def close(self) -> None:
        """Detach everything, and forget the objects."""
        for token in tuple(self._links):
            self.detach(token)
        self._detaching.shutdown()
        self._detaching = ThreadPoolExecutor(_AT_ONCE, "detach")
        self._objects.clear()

    def _keep(
        self,
        attach: Callable[[str, Collection[Point], int, list[Callable[[], object]]], None],
        path: str,
        points: Collection[Point],
        pid: int,
    ) -> int:
        undo: list[Callable[[], object]] = []
        try:
            attach(path, points, pid, undo)
        except KernelError:
            for step in undo:
                self._detaching.submit(step)
            raise
        self._last += 1
        self._links[self._last] = undo
        return self._last

    def _attach_at_once(
        self, path: str, points: Collection[Point], pid: int, undo: list[Callable[[], object]]
    ) -> None:
        places: dict[tuple[str, bool], list[Point]] = defaultdict(list)
        for point in points:
            places[point.program, point.at_return].append(point)
        for (program, at_return), together in places.items():
            fd = _create_link(self._object(program).program_fd(program), path, together, pid, at_return)
            undo.append(lambda fd=fd: os.close(fd))  # type: ignore[misc]

    def _attach_singly(
        self, path: str, points: Collection[Point], pid: int, undo: list[Callable[[], object]]
    ) -> None:
        for point in points:
            program = self._object(point.program).programs[point.program]
            link = self._attach_one(program, point, path, pid)
            undo.append(lambda link=link: libbpf().integer("bpf_link__destroy", link))  # type: ignore[misc]

    def _attach_one(self, program: int, point: Point, path: str, pid: int) -> int:
        options = UprobeOptions(
            sz=ctypes.sizeof(UprobeOptions),
            cookie=point.cookie if self._cookies else 0,
            at_return=point.at_return,
        )
        arguments = (program, pid or _EVERYBODY, path.encode(), point.offset, ctypes.byref(options))
        try:
            return libbpf().pointer("bpf_program__attach_uprobe_opts", *arguments)
        except KernelError as error:
            if error.code != errno.EOPNOTSUPP or not options.cookie:
                raise
        self._cookies = False  # the kernel has none: who is to know goes without
        options.cookie = 0
        return libbpf().pointer("bpf_program__attach_uprobe_opts", *arguments)

    def _object(self, program: str) -> BpfObject:
        if program not in self._objects:
            raise KernelError(f"the program {program} could not be loaded")
        return self._objects[program]


def _create_link(program: int, path: str, points: Sequence[Point], pid: int, at_return: bool) -> int:
    offsets = (ctypes.c_uint64 * len(points))(*(point.offset for point in points))
    cookies = (ctypes.c_uint64 * len(points))(*(point.cookie for point in points))
    attributes = _LinkCreate(
        program=program,
        attach_type=UPROBE_MULTI,
        path=path.encode(),
        offsets=ctypes.addressof(offsets),
        cookies=ctypes.addressof(cookies),
        count=len(points),
        flags=_RETURN if at_return else 0,
        pid=pid,
    )
    libc = ctypes.CDLL(None, use_errno=True)
    number = _BPF[os.uname().machine]
    fd = libc.syscall(number, _LINK_CREATE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd < 0:
        code = ctypes.get_errno()
        raise KernelError(f"probes at {path}: {os.strerror(code)} ({errno.errorcode.get(code, code)})", code)
    return int(fd)
