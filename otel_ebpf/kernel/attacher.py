"""The privileged side: loads, attaches, and runs programs on request. See `messages`."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Final

from otel_ebpf.kernel.bpf_object import OBJECTS, BpfObject
from otel_ebpf.kernel.climb import Setup, climb
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ladder import CONTROL, LADDERS, PAYLOAD, TLS, Ladders
from otel_ebpf.kernel.libbpf import TestRunOptions, libbpf
from otel_ebpf.kernel.messages import (
    Attach,
    Attached,
    AttachedFile,
    AttachFile,
    Detach,
    DetachFile,
    Done,
    Reply,
    Request,
    SetMode,
    Standing,
    Walk,
    Walked,
)
from otel_ebpf.kernel.uprobes import Uprobes

_WALK = Struct("<QQQQQQ")  # struct walk
_INITIAL_PID_NAMESPACE: Final = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_WINDOW_MINIMUM: Final = 1024
_WORD_SLACK: Final = 32  # bpf/core/connection.h


@dataclass
class Attacher:
    """Answers one request at a time. `handle(Detach())` undoes everything."""

    ladders: Ladders = field(default_factory=lambda: LADDERS)
    directory: Path = OBJECTS
    _objects: list[BpfObject] = field(default_factory=list)
    _control: BpfObject | None = None
    _uprobes: Uprobes | None = None

    def handle(self, request: Request) -> Reply:
        """Carry out a request. Raises `KernelError`, and `RungUnavailableError` for a demanded rung."""
        match request:
            case Attach():
                return self._attach(request)
            case SetMode(socket, connection, mode):
                self._run("set_mode", (socket, connection, mode))
                return Done()
            case Walk():
                return self._walk(request)
            case AttachFile(path, points, pid):
                return AttachedFile(self._files().attach(path, points, pid))
            case DetachFile(token):
                self._files().detach(token)
                return Done()
            case Detach():
                self._detach()
                return Done()

    def _attach(self, request: Attach) -> Attached:
        constants = _constants(request)
        entries = {
            "connections": request.connections,
            "processes": request.processes,
            "records": request.ring_bytes,
        }
        standings = []
        shared: dict[str, int] = {}
        later: Future[tuple[Standing, BpfObject | None]] | None = None

        def stand(capability: str) -> tuple[Standing, BpfObject | None]:
            if capability == TLS and not request.tls:
                return Standing(TLS, "", "switched off: tls.enabled", ()), None
            demanded = request.rung if capability == PAYLOAD else None
            setup = Setup(self.directory, constants, shared, entries, _data_end(request) + _WORD_SLACK)
            return climb(capability, self.ladders[capability], demanded, setup)

        try:
            with ThreadPoolExecutor(1, "load") as beside:
                for capability in self.ladders:
                    if capability == PAYLOAD and TLS in self.ladders:
                        # The two that take the verifier long, both of which use control's maps alone.
                        later = beside.submit(stand, TLS)
                    standing, loaded = later.result() if later and capability == TLS else stand(capability)
                    standings.append(standing)
                    if loaded is not None:
                        self._stands(capability, loaded, shared)
                    elif capability == CONTROL:
                        raise KernelError(f"nothing can be loaded: {standing.refusals[-1].reason}")
        except BaseException:
            if later is not None and later.exception() is None and (loaded := later.result()[1]) is not None:
                self._objects.append(loaded)
            self._detach()
            raise
        programs = tuple(fd for one in self._objects for fd in one.attached_fds())
        links = tuple(fd for one in self._objects for fd in one.link_fds())
        return Attached(tuple(standings), shared, programs, links)

    def _stands(self, capability: str, loaded: BpfObject, shared: dict[str, int]) -> None:
        """Keep an object that stands, and have those to come share its maps."""
        self._objects.append(loaded)
        for name in loaded.maps:
            shared.setdefault(name, loaded.map_fd(name))
        if capability == TLS:
            self._uprobes = Uprobes(loaded)
        elif capability == CONTROL:
            self._control = loaded
            self._run("exclude_caller", ())

    def _run(self, program: str, arguments: tuple[int, ...]) -> None:
        """Run one of control's programs, `arguments` as its raw tracepoint's."""
        if self._control is None:
            raise KernelError("nothing is attached")
        context = (ctypes.c_uint64 * 12)(*arguments)  # MAX_BPF_FUNC_ARGS
        options = TestRunOptions(
            sz=ctypes.sizeof(TestRunOptions),
            ctx_in=ctypes.addressof(context),
            ctx_size_in=ctypes.sizeof(context),
        )
        fd = self._control.program_fd(program)
        libbpf().integer("bpf_prog_test_run_opts", fd, ctypes.byref(options))

    def _walk(self, request: Walk) -> Walked:
        control = self._control
        if control is None:
            raise KernelError("nothing is attached")
        walks, zero = control.map_fd("walks"), ctypes.c_uint32(0)
        value = ctypes.create_string_buffer(_WALK.size)
        arguments = (request.silence_ns, request.forget_ns, int(request.count_active))
        if "visit_all" in control.programs:
            self._run("visit_all", (*arguments, int(request.only_due)))
        else:
            libbpf().integer("bpf_map_update_elem", walks, ctypes.byref(zero), value, 0)
            for socket in _keys(control.map_fd("connections")):
                self._run("visit_one", (*arguments, socket))
        libbpf().integer("bpf_map_lookup_elem", walks, ctypes.byref(zero), value)
        _, _, _, in_flight, connections, _ = _WALK.unpack(value.raw)
        return Walked(in_flight, connections)

    def _files(self) -> Uprobes:
        if self._uprobes is None:
            raise KernelError("no probes for TLS libraries could be loaded")
        return self._uprobes

    def _detach(self) -> None:
        """Close the objects, the hooks first and the maps, which the first object holds, last."""
        if self._uprobes is not None:
            self._uprobes.close()
            self._uprobes = None
        for loaded in reversed(self._objects):
            loaded.close()
        self._objects.clear()
        self._control = None


def _constants(request: Attach) -> dict[str, int]:
    namespace = os.stat("/proc/self/ns/pid")
    inside = namespace.st_ino != _INITIAL_PID_NAMESPACE
    return {
        "request_capture": request.request_bytes,
        "response_capture": request.response_bytes,
        "piece_capture": request.piece_bytes,
        "capture_limit": max(request.request_bytes, request.response_bytes),
        "window_start": request.request_bytes + request.response_bytes,
        "data_end": _data_end(request),
        "id_secret_low": request.id_secret[0],
        "id_secret_high": request.id_secret[1],
        "tls_left_out": int(request.tls_left_out),
        "agent_namespace_device": namespace.st_dev if inside else 0,
        "agent_namespace_inode": namespace.st_ino if inside else 0,
    }


def _data_end(request: Attach) -> int:
    """Return the size of a connection's captures and of the window behind them."""
    window = max(request.request_bytes, request.response_bytes, _WINDOW_MINIMUM)
    return request.request_bytes + request.response_bytes + window


def _keys(fd: int) -> list[int]:
    """Return the keys of a hash map of 64-bit keys."""
    keys: list[int] = []
    key = ctypes.c_uint64()
    previous: object = None
    while True:
        try:
            libbpf().integer("bpf_map_get_next_key", fd, previous, ctypes.byref(key))
        except KernelError:
            return keys
        keys.append(key.value)
        previous = ctypes.byref(ctypes.c_uint64(key.value))
