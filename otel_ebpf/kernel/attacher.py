"""The privileged side: loads, attaches, and runs programs on request. See `messages`."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Final

from otel_ebpf.kernel.bpf_object import OBJECTS, BpfObject
from otel_ebpf.kernel.climb import Setup, climb
from otel_ebpf.kernel.errors import KernelError, reason_of
from otel_ebpf.kernel.injection import INJECT, SOCKETS_MAX, Injection, unfitness
from otel_ebpf.kernel.ladder import (
    ACCEPT,
    CONTROL,
    DNS_PACKETS,
    LADDERS,
    PAYLOAD,
    RESOLVER,
    RUNTIMES,
    STATISTICS,
    TCP_RESET,
    TCP_SWEEP,
    TLS,
    UDP_CLOSE,
    UDP_IO,
    Ladders,
)
from otel_ebpf.kernel.libbpf import TestRunOptions, keys_of, libbpf
from otel_ebpf.kernel.messages import (
    Attach,
    Attached,
    AttachedFile,
    AttachFile,
    CountProbes,
    Detach,
    DetachFile,
    Done,
    HitTimed,
    Inject,
    ProbeCounts,
    Refusal,
    Reply,
    Request,
    SetMode,
    Standing,
    Sweep,
    TimeHit,
    Walk,
    Walked,
)
from otel_ebpf.kernel.program_runs import enable_statistics
from otel_ebpf.kernel.sweep import run_iterator
from otel_ebpf.kernel.tcp_peers import OVERFLOW_ROOM
from otel_ebpf.kernel.trap import hit_ns
from otel_ebpf.kernel.uprobes import Uprobes

_WALK = Struct("<QQQQQQ")  # struct walk
_INITIAL_PID_NAMESPACE: Final = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_RUN_TIME: Final = "run_time"
_COARSE_CLOCK: Final = 6  # CLOCK_MONOTONIC_COARSE, whose step is the kernel's tick
_WINDOW_MINIMUM: Final = 1024
_WORD_SLACK: Final = 32  # bpf/core/connection.h
_DROPPING: Final = 4096  # UDP sockets that have dropped something: rare
_BESIDE: Final = (TLS, RESOLVER, *RUNTIMES)
"""Loaded beside the payload's programs, which take the verifier longest: they use control's maps alone."""


@dataclass
class Attacher:
    """Answers one request at a time. `handle(Detach())` undoes everything."""

    ladders: Ladders = field(default_factory=lambda: LADDERS)
    directory: Path = OBJECTS
    _objects: list[BpfObject] = field(default_factory=list)
    _control: BpfObject | None = None
    _sweep: BpfObject | None = None
    _sweeps: int = 0
    _standings: tuple[Standing, ...] = ()
    _attached: dict[tuple[str, str], int] = field(default_factory=dict)
    _statistics: int = -1
    _uprobes: Uprobes = field(default_factory=Uprobes)
    _injection: Injection | None = None

    def handle(self, request: Request) -> Reply:
        """Carry out a request. Raises `KernelError`, and `RungUnavailableError` for a demanded rung."""
        match request:
            case Attach():
                return self._attach(request)
            case Walk():
                return self._walk(request)
            case AttachFile(path, points, pid):
                return AttachedFile(self._uprobes.attach(path, points, pid))
            case SetMode(socket, connection, mode):
                self._run("set_mode", (socket, connection, mode))
            case Sweep():
                self._run_sweep()
            case DetachFile(token):
                self._uprobes.detach(token)
            case TimeHit(program):
                return HitTimed(hit_ns(self._uprobes, program))
            case CountProbes():
                return self._count_probes()
            case Detach():
                self._detach()
        return Done()

    def _attach(self, request: Attach) -> Attached:
        unfit = unfitness(Setup(self.directory, {}, {}, {}, 0)) if request.inject else ""
        inject = None if unfit else request.inject
        constants = _constants(request) | {"injects": int(inject is not None)}
        entries = {
            "connections": request.connections,
            "connects": request.connections if request.network_part else 1,
            "processes": request.processes,
            "records": request.ring_bytes,
            **_network_entries(request),
            "injecting": SOCKETS_MAX if inject else 1,
        }
        standings = []
        shared: dict[str, int] = {}
        later: dict[str, Future[tuple[Standing, BpfObject | None]]] = {}

        def setup() -> Setup:
            return Setup(self.directory, constants, shared, entries, _data_end(request) + _WORD_SLACK)

        def stand(capability: str) -> tuple[Standing, BpfObject | None]:
            if keys := _switched_off(capability, request):
                return Standing(capability, "", f"switched off: {keys}", ()), None
            demanded = request.rung if capability == PAYLOAD else None
            return climb(capability, self.ladders[capability], demanded, setup())

        try:
            with ThreadPoolExecutor(1, "load") as beside:
                for capability in self.ladders:
                    if capability == PAYLOAD:
                        later = {one: beside.submit(stand, one) for one in _BESIDE if one in self.ladders}
                    waiting = later.pop(capability, None)
                    standing, loaded = waiting.result() if waiting else stand(capability)
                    standings.append(standing)
                    if loaded is not None:
                        self._stands(standing, loaded, shared)
                    elif capability == CONTROL:
                        raise KernelError(f"nothing can be loaded: {standing.refusals[-1].reason}")
            if inject:
                standings.append(self._inject(inject, standings, setup(), shared))
            elif unfit:
                standings.append(_refused(unfit))
            if request.statistics:
                standings.append(self._time_programs())
        except BaseException:
            for waiting in later.values():
                if waiting.exception() is None and (loaded := waiting.result()[1]) is not None:
                    self._objects.append(loaded)
            self._detach()
            raise
        programs = tuple(fd for one in self._objects for fd in one.attached_fds())
        links = tuple(fd for one in self._objects for fd in one.link_fds())
        timed = tuple(one for each in self._objects for one in each.loaded_fds())
        self._standings = tuple(standings)
        return Attached(self._standings, shared, programs, links, timed)

    def _stands(self, standing: Standing, loaded: BpfObject, shared: dict[str, int]) -> None:
        """Keep an object that stands, and have those to come share its maps."""
        self._objects.append(loaded)
        capability, key = standing.capability, (standing.capability, standing.rung)
        if number := len(loaded.link_fds()):
            self._attached[key] = self._attached.get(key, 0) + number
        for name in loaded.maps:
            shared.setdefault(name, loaded.map_fd(name))
        if capability in {TLS, RESOLVER, *RUNTIMES}:
            self._uprobes.add(capability, loaded)
        elif capability == TCP_SWEEP:
            self._sweep = loaded
        elif capability == CONTROL:
            self._control = loaded
            self._run("exclude_caller", ())

    def _inject(
        self, inject: Inject, standings: Sequence[Standing], setup: Setup, shared: dict[str, int]
    ) -> Standing:
        """Have `traceparent` written into requests."""
        payload = next(one.rung for one in standings if one.capability == PAYLOAD)
        injection = Injection(setup)
        try:
            injection.start(inject, payload)
        except (KernelError, OSError) as error:
            injection.close()
            return _refused(str(error))
        standing = Standing(INJECT, "sk_msg", injection.cost, ())
        for loaded in injection.objects:
            self._stands(standing, loaded, shared)
        self._injection = injection
        return standing

    def _time_programs(self) -> Standing:
        try:
            self._statistics = enable_statistics()
        except KernelError as error:
            return Standing(STATISTICS, "", "", (Refusal(_RUN_TIME, str(error), error.code),))
        return Standing(STATISTICS, _RUN_TIME, "each run of any BPF program of the host is timed", ())

    def _count_probes(self) -> ProbeCounts:
        files = self._uprobes.count()
        refused = {
            (standing.capability, refusal.rung, reason_of(refusal.code)): 1
            for standing in self._standings
            for refusal in standing.refusals
        }
        return ProbeCounts({**self._attached, **files.attached}, {**refused, **files.failures})

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
        if self._injection is not None:
            self._injection.release()
        walks, zero = control.map_fd("walks"), ctypes.c_uint32(0)
        value = ctypes.create_string_buffer(_WALK.size)
        arguments = (request.silence_ns, request.forget_ns, int(request.count_active))
        if "visit_all" in control.programs:
            self._run("visit_all", (*arguments, int(request.only_due)))
        else:
            libbpf().integer("bpf_map_update_elem", walks, ctypes.byref(zero), value, 0)
            for socket in keys_of(control.map_fd("connections"), ctypes.c_uint64):
                self._run("visit_one", (*arguments, socket))
        libbpf().integer("bpf_map_lookup_elem", walks, ctypes.byref(zero), value)
        _, _, _, in_flight, connections, _ = _WALK.unpack(value.raw)
        return Walked(in_flight, connections)

    def _run_sweep(self) -> None:
        """Run the iterator, if there is one. A socket is visited once, however many processes have it."""
        if self._sweep is None:
            return
        self._sweeps = (self._sweeps + 1) & 0xFFFFFFFF
        number, zero = ctypes.c_uint32(self._sweeps), ctypes.c_uint32(0)
        fd = self._sweep.map_fd("tcp_sweep")
        libbpf().integer("bpf_map_update_elem", fd, ctypes.byref(zero), ctypes.byref(number), 0)
        run_iterator(self._sweep.link_fds()[0])

    def _detach(self) -> None:
        """Close the objects, the hooks first and the maps, which the first object holds, last."""
        self._uprobes.close()
        if self._statistics >= 0:
            os.close(self._statistics)
            self._statistics = -1
        self._attached.clear()
        self._injection = None
        for loaded in reversed(self._objects):
            loaded.close()
        self._objects.clear()
        self._control = self._sweep = None


def _refused(reason: str) -> Standing:
    return Standing(INJECT, "", "", (Refusal("sk_msg", reason),))


def in_pid_namespace() -> bool:
    """Say whether this process sees other ids of processes than the kernel's."""
    return os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PID_NAMESPACE


def _constants(request: Attach) -> dict[str, int]:
    namespace = os.stat("/proc/self/ns/pid")
    inside = in_pid_namespace()
    return {
        "request_capture": request.request_bytes,
        "response_capture": request.response_bytes,
        "piece_capture": request.piece_bytes,
        "capture_limit": max(request.request_bytes, request.response_bytes),
        "window_start": request.request_bytes + request.response_bytes,
        "data_end": _data_end(request),
        "id_secret_low": request.id_secret[0],
        "id_secret_high": request.id_secret[1],
        "tick": round(time.clock_getres(_COARSE_CLOCK) * 1e9),
        "tls_left_out": int(request.tls_left_out),
        "follow_started": int(request.started_threads),
        "network_part": int(request.network_part),
        "network_tcp": int(request.network_tcp),
        "network_udp": int(request.network_udp),
        "network_peers": request.tcp_peers,
        "agent_namespace_device": namespace.st_dev if inside else 0,
        "agent_namespace_inode": namespace.st_ino if inside else 0,
    }


def _switched_off(capability: str, request: Attach) -> str:
    """Return which keys leave a capability out; "" for none."""
    tcp, udp, nobody = request.network_tcp, request.network_udp, ", or nobody takes metrics"
    wanted: dict[str, tuple[bool, str]] = {
        TLS: (request.tls, "tls.enabled"),
        RESOLVER: (request.dns, "dns.enabled"),
        DNS_PACKETS: (request.dns_packets, "dns.packets"),
        ACCEPT: (request.network_part, "traces.network"),
        TCP_RESET: (tcp, f"network.tcp.enabled{nobody}"),
        TCP_SWEEP: (tcp or udp, f"network.tcp.enabled and network.udp{nobody}"),
        **dict.fromkeys((UDP_IO, UDP_CLOSE), (udp, f"network.udp{nobody}")),
        **dict.fromkeys(RUNTIMES, (request.runtimes, "traces.runtimes")),
    }
    on, keys = wanted.get(capability, (True, ""))
    return "" if on else keys


def _network_entries(request: Attach) -> dict[str, int]:
    """Return the sizes of the maps for the network's metrics, which are in memory from the start."""
    wanted = request.network_tcp or request.network_udp
    peers = request.tcp_peers + OVERFLOW_ROOM if wanted else 1
    return {
        "tcp_sockets": request.tcp_connections if request.network_tcp else 1,
        "tcp_peers_even": peers,
        "tcp_peers_odd": peers,
        "udp_drops": min(request.tcp_connections, _DROPPING) if request.network_udp else 1,
    }


def _data_end(request: Attach) -> int:
    """Return the size of a connection's captures and of the window behind them."""
    window = max(request.request_bytes, request.response_bytes, _WINDOW_MINIMUM)
    return request.request_bytes + request.response_bytes + window
