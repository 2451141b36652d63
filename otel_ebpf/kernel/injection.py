"""Writing `traceparent` into requests: the programs for it, where they attach, and what is to be let go.

Everything that is attached ends with the process, however that ends: a link for the cgroup, and a map of
sockets that nothing else holds.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import closing, suppress
from types import MappingProxyType
from typing import Final

from otel_ebpf.kernel.bpf_object import BpfObject
from otel_ebpf.kernel.cgroup_root import cgroup_root, open_root
from otel_ebpf.kernel.climb import Setup
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ladder import BASELINE, MODERN
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.messages import Inject
from otel_ebpf.kernel.sockmap_trial import find_fault

INJECT: Final = "inject"
SOCKETS_MAX: Final = 16384  # INJECTED_MAX, bpf/probes/inject.bpf.c
_RELEASED_AT_ONCE: Final = 4096  # as many as the queue holds
_PROGRAMS: Final = frozenset({"take_clients", "write_context", "forget_socket"})
_ALL: Final = 1 << 64
_NONE: Final[Mapping[str, int]] = MappingProxyType({})

# Where the payload is seen in TCP's own functions, sockets in a map of sockets send by others: those must be
# seen too. Those for pages are not on all kernels.
_SENDS: Final = {
    "trampoline": ("inject_trampoline", ("bpf_sendmsg_entry", "bpf_sendmsg_exit"), ("bpf_sendpage_exit",)),
    "kprobe": (
        "inject_kprobe",
        ("bpf_sendmsg_entry", "bpf_sendmsg_exit"),
        ("bpf_sendpage_entry", "bpf_sendpage_exit"),
    ),
}


def unfitness(setup: Setup) -> str:
    """Return what stands against it on this kernel, in words; "" for nothing. Nothing is left attached.

    Asked before anything else is loaded: hooks that count bytes are spared what they need for it.
    """
    try:
        cgroup_root()
        with closing(_load(setup, "inject_trial", frozenset({"write_trial"}))) as loaded:
            loaded.attach_to_map("write_trial", "trial_sockets")
            fault = find_fault(loaded.map_fd("trial_sockets"))
    except (KernelError, OSError) as error:
        return str(error)
    return f"this kernel has a fault with sockets in a sockmap: {fault}" if fault else ""


class Injection:
    """`start`ed once. `objects` are what is attached, for the caller to close."""

    cost: Final = "sockets of the selected processes send through a BPF program"

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._sockets = self._let_go = -1
        self.objects: list[BpfObject] = []

    def start(self, inject: Inject, payload: str) -> None:
        """Attach. Raises `KernelError`, and `OSError`, which say what is wrong here.

        `payload` is the rung by which bytes are seen.
        """
        loaded = self._load("inject", _PROGRAMS, _constants(inject))
        self._see_sends(payload)
        for port, rules in inject.ports.items():
            key, value = ctypes.c_uint16(port), ctypes.c_uint32(rules)
            fd = loaded.map_fd("inject_ports")
            libbpf().integer("bpf_map_update_elem", fd, ctypes.byref(key), ctypes.byref(value), 0)
        self._sockets, self._let_go = loaded.map_fd("inject_sockets"), loaded.map_fd("let_go")
        loaded.attach_to_map("write_context", "inject_sockets")
        loaded.attach("forget_socket")
        with open_root() as root:
            loaded.attach_cgroup("take_clients", root)

    def release(self) -> None:
        """Give the sockets of connections that were let go back to TCP."""
        socket = ctypes.c_uint64()
        for _ in range(_RELEASED_AT_ONCE):
            try:
                libbpf().integer("bpf_map_lookup_and_delete_elem", self._let_go, None, ctypes.byref(socket))
            except KernelError:
                return
            with suppress(KernelError):  # it has ended meanwhile
                libbpf().integer("bpf_map_delete_elem", self._sockets, ctypes.byref(socket))

    def close(self) -> None:
        """Undo a `start` that failed."""
        while self.objects:
            self.objects.pop().close()

    def _see_sends(self, payload: str) -> None:
        if payload not in _SENDS:
            return
        name, needed, others = _SENDS[payload]
        self._attach(name, needed)
        with suppress(KernelError):  # from 6.5 on there are no such functions
            self._attach(name, others)

    def _attach(self, name: str, programs: tuple[str, ...]) -> None:
        loaded = self._load(name, frozenset(programs))
        try:
            for program in programs:
                loaded.attach(program)
        except KernelError:
            self.objects.pop().close()
            raise

    def _load(self, name: str, programs: frozenset[str], constants: Mapping[str, int] = _NONE) -> BpfObject:
        loaded = _load(self._setup, name, programs, constants)
        self.objects.append(loaded)
        return loaded


def _load(
    setup: Setup, name: str, programs: frozenset[str], constants: Mapping[str, int] = _NONE
) -> BpfObject:
    """Load an object in the variant that this kernel takes."""
    refused = KernelError("")
    for variant in (MODERN, BASELINE):
        loaded = setup.open(name + variant)
        try:
            loaded.set_constants(constants)
            loaded.load(set(programs))
        except KernelError as error:
            loaded.close()
            refused = error
            continue
        return loaded
    raise refused


def _constants(inject: Inject) -> dict[str, int]:
    return {
        "inject_any_port": inject.any_port,
        "sampled_by_parent": int(inject.by_parent),
        "sampled_always": int(inject.sampled_below >= _ALL),
        "sampled_below": min(inject.sampled_below, _ALL - 1),
    }
