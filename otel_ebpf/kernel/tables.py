"""The maps that the unprivileged side reads and writes by file descriptor."""

from __future__ import annotations

import contextlib
import ctypes
import errno
from collections.abc import Mapping
from itertools import product
from struct import Struct
from typing import Final

from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ledger_entries import KERNEL_ENTRIES
from otel_ebpf.kernel.libbpf import keys_of, libbpf

PROCESS_CONTROL = Struct("<BBHIIIQQIIQ")  # struct process_control
PORT_RULES = Struct("<QQ")  # struct port_rules
SETTINGS = Struct("<II")  # struct settings
RUNTIME_CONTROL = Struct("<I4xQQ40s")  # struct runtime_control

ACTIVE_KEY = Struct("<Q8sII")  # struct active_key

_EXECUTABLES: Final = 2048  # more than the map holds
TLS_METHODS: Final = ("none", "api", "nested", "length")  # enum tls_method
TLS_OUTCOMES: Final = ("verified", "mismatch", "unknown")  # enum tls_outcome
# enum injected, but for its zero
INJECTED_OUTCOMES: Final = (
    *("written", "present", "unknown", "not_http", "incomplete", "upgrade", "pipelined", "failed"),
    *("full", "unfit"),
)
VERDICT_UNKNOWN: Final = 0  # enum verdict
_NOEXIST: Final = 1  # BPF_NOEXIST
_EXIST: Final = 2  # BPF_EXIST


class Tables:
    """Access to the kernel side's maps. `maps` are file descriptors by name."""

    def __init__(self, maps: Mapping[str, int]) -> None:
        self._maps = maps
        self._cpus = libbpf().integer("libbpf_num_possible_cpus")

    def ledger_totals(self) -> list[int]:
        """Return the kernel's counters, summed over CPUs, indexed by `Entry`. Any thread."""
        fd, key, counters = self._maps["ledger"], ctypes.c_uint32(), (ctypes.c_uint64 * self._cpus)()
        totals = []
        for entry in range(KERNEL_ENTRIES):
            key.value = entry
            libbpf().integer("bpf_map_lookup_elem", fd, ctypes.byref(key), counters)
            totals.append(sum(counters))
        return totals

    def decide_process(
        self,
        pid: int,
        start: int,
        ruleset: int,
        *,
        verdict: int,
        left_out: int,
        include: int,
        exclude: int,
        inject: int = 0,
    ) -> bool:
        """Write the configuration's decision about a process. False when it is gone already."""
        value = PROCESS_CONTROL.pack(verdict, 1, left_out, ruleset, inject, 0, include, exclude, 0, 0, start)
        try:
            self._update("processes", ctypes.c_uint32(pid), value, _EXIST)
        except KernelError:
            return False
        return True

    def forget_decisions(self) -> None:
        """Have the kernel ask anew about each process, at its next use of a socket.

        Those that user space never decided on stay: the agent itself, and the kernel's own.
        """
        fd, value = self._maps["processes"], ctypes.create_string_buffer(PROCESS_CONTROL.size)
        for process in keys_of(fd, ctypes.c_uint32):
            key = ctypes.byref(ctypes.c_uint32(process))
            with contextlib.suppress(KernelError):  # it has ended meanwhile
                libbpf().integer("bpf_map_lookup_elem", fd, key, value)
                verdict, _, _, ruleset, *_ = PROCESS_CONTROL.unpack(value.raw)
                if ruleset or verdict == VERDICT_UNKNOWN:
                    libbpf().integer("bpf_map_delete_elem", fd, key)

    def set_port_rules(self, rules: Mapping[int, tuple[int, int]]) -> None:
        """Write, for each port that a rule names, the rules that do (include, exclude bit sets).

        Other ports are named by none any more.
        """
        fd = self._maps["ports"]
        for port in keys_of(fd, ctypes.c_uint16):
            if port not in rules:
                with contextlib.suppress(KernelError):
                    libbpf().integer("bpf_map_delete_elem", fd, ctypes.byref(ctypes.c_uint16(port)))
        for port, masks in rules.items():
            self._update("ports", ctypes.c_uint16(port), PORT_RULES.pack(*masks))

    def set_ruleset(self, generation: int) -> None:
        """Say that decisions have changed: the kernel asks again about each connection."""
        self._update("settings", ctypes.c_uint32(0), SETTINGS.pack(generation, 0))

    def forget_executables(self) -> None:
        """Have the kernel tell again of each executable that is started. Any thread."""
        fd, key = self._maps["executables"], ctypes.create_string_buffer(16)  # struct file_id
        for _ in range(_EXECUTABLES):
            try:
                libbpf().integer("bpf_map_get_next_key", fd, None, key)
                libbpf().integer("bpf_map_delete_elem", fd, key)
            except KernelError:
                return

    def tls_bindings(self) -> dict[tuple[str, str], int]:
        """Return how many TLS sessions were bound to a socket, by method, and to what outcome. Any thread."""
        fd, key, counters = self._maps["tls_bindings"], ctypes.c_uint32(), (ctypes.c_uint64 * self._cpus)()
        totals = {}
        for key.value, pair in enumerate(product(TLS_METHODS, TLS_OUTCOMES)):
            libbpf().integer("bpf_map_lookup_elem", fd, ctypes.byref(key), counters)
            totals[pair] = sum(counters)
        return totals

    def injected(self) -> dict[str, int]:
        """Return what became of requests that `traceparent` was to be written into. Any thread."""
        fd = self._maps.get("injected")
        if fd is None:
            return {}
        key, counters = ctypes.c_uint32(), (ctypes.c_uint64 * self._cpus)()
        totals = {}
        for key.value, outcome in enumerate(INJECTED_OUTCOMES, start=1):
            libbpf().integer("bpf_map_lookup_elem", fd, ctypes.byref(key), counters)
            totals[outcome] = sum(counters)
        return totals

    def set_runtime(self, process: int, kind: int, moved: int, places: bytes) -> None:
        """Tell what runtime a process runs; `process` is its id in the initial namespace. Any thread.

        What is known of it already stays, its count of hits too. Raises `KernelError` where there is no room.
        """
        value = RUNTIME_CONTROL.pack(kind, 0, moved, places)
        try:
            self._update("runtimes", ctypes.c_uint32(process), value, _NOEXIST)
        except KernelError as error:
            if error.code != errno.EEXIST:
                raise

    def refuse_runtime(self, process: int) -> None:
        """Tell that a process is not to be followed, whatever was told of it before. Any thread.

        Raises `KernelError` where there is no room.
        """
        self._update("runtimes", ctypes.c_uint32(process), RUNTIME_CONTROL.pack(0, 0, 0, b""))

    def set_runtime_file(self, number: int, kind: int, places: bytes) -> None:
        """Tell what processes run that hit a probe with the file's number in its cookie. Any thread."""
        self._update("runtime_files", ctypes.c_uint32(number), RUNTIME_CONTROL.pack(kind, 0, 0, places))

    def forget_runtime(self, process: int) -> None:
        """The process is no longer followed. Any thread."""
        with contextlib.suppress(KernelError):
            key = ctypes.c_uint32(process)
            libbpf().integer("bpf_map_delete_elem", self._maps["runtimes"], ctypes.byref(key))

    def runtime_hits(self) -> dict[int, int]:
        """Return how often each process's runtime has hit probes. Any thread."""
        fd, value = self._maps["runtimes"], ctypes.create_string_buffer(RUNTIME_CONTROL.size)
        found = {}
        for process in keys_of(fd, ctypes.c_uint32):
            key = ctypes.c_uint32(process)
            with contextlib.suppress(KernelError):  # it has ended meanwhile
                libbpf().integer("bpf_map_lookup_elem", fd, ctypes.byref(key), value)
                found[process] = RUNTIME_CONTROL.unpack(value.raw)[1]
        return found

    def take_active_requests(self) -> list[tuple[int, int, bytes, bool, int]]:
        """Return what the last walk counted, and empty the map.

        Each is (pid, start of the process, first bytes of the request, whether over TLS, open requests).
        """
        fd = self._maps["active_requests"]
        found = []
        key, count = ctypes.create_string_buffer(ACTIVE_KEY.size), ctypes.c_uint64()
        while self._first_key(fd, key):
            libbpf().integer("bpf_map_lookup_elem", fd, key, ctypes.byref(count))
            libbpf().integer("bpf_map_delete_elem", fd, key)
            start, method, process, encrypted = ACTIVE_KEY.unpack(key.raw)
            found.append((process, start, method, bool(encrypted), count.value))
        return found

    @staticmethod
    def _first_key(fd: int, key: object) -> bool:
        try:
            libbpf().integer("bpf_map_get_next_key", fd, None, key)
        except KernelError:
            return False
        return True

    def _update(self, name: str, key: object, value: bytes, flags: int = 0) -> None:
        fd = self._maps[name]
        libbpf().integer("bpf_map_update_elem", fd, ctypes.byref(key), value, flags)  # type: ignore[arg-type]
