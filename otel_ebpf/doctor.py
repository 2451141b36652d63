"""What this kernel offers, what is used of it, and what is missing: the findings behind `doctor`."""

from __future__ import annotations

import ctypes.util
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from otel_ebpf.config import Config
from otel_ebpf.inject import inject_request
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ladder import PAYLOAD
from otel_ebpf.kernel.messages import Attach, Attached, Detach
from otel_ebpf.overrides import switched_on
from otel_ebpf.probing.scan import scan
from otel_ebpf.signals.sampling import make_sampler
from otel_ebpf.status import ask, describe

__all__ = ["Check", "Report", "examine"]

_ADVICE = {
    "trampoline": "fentry needs BTF, the BPF trampoline (x86-64 5.5, arm64 6.0) and no lockdown",
    "socket_trace": "the tracepoints sock_send_length and sock_recv_length came with 6.3",
    "kprobe": "kprobes need CONFIG_KPROBES and no lockdown",
    "sk_msg": "requests are left as they are; see docs/traces.md, or take traces.inject out",
    "syscall": "raw tracepoints need CONFIG_BPF_EVENTS and CONFIG_FTRACE_SYSCALLS",
}

_CAPABILITIES = (("BPF", 39), ("PERFMON", 38), ("SYS_PTRACE", 19), ("DAC_READ_SEARCH", 2))
"""What the agent needs, by linux/capability.h."""

_SYS_ADMIN = 21
"""Stands for the first two, which are of 5.8."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: whether it holds, what was found, and what to do if it does not."""

    name: str
    good: bool
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `doctor` says. `agent` is the pid of the running agent that answered, 0 for none.

    `tls` is what `Watch.tls` returns; without an agent, what `scan` does. `runtimes` is what
    `Watch.runtimes` returns, and `dns` has what `Watch.resolvers` does; both are empty without an agent.
    `injected` are requests that `traceparent` was to be written into, by what came of it.
    """

    agent: int
    checks: tuple[Check, ...]
    capabilities: Mapping[str, Any]
    ledger: Mapping[str, int]
    tls: Mapping[str, Any]
    runtimes: Mapping[str, Any] = field(default_factory=dict)
    injected: Mapping[str, int] = field(default_factory=dict)
    dns: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def healthy(self) -> bool:
        """Whether requests can be seen here."""
        return not self.problem and bool(self.capabilities.get(PAYLOAD, {}).get("rung"))

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "healthy": self.healthy}


def examine(config: Config) -> Report:
    """Ask the agent that runs here; without one, attach for a moment and see. Never raises."""
    checks = tuple(_checks())
    status_socket = config.telemetry.status_socket
    told = ask(status_socket) if status_socket else None
    if told is not None:
        capabilities = _advised(told["capabilities"])
        told_of = (told["ledger"], told["tls"], told["runtimes"])
        others = {"injected": told.get("injected", {}), "dns": told["dns"]}
        return Report(int(told["pid"]), checks, capabilities, *told_of, **others)
    config = switched_on(config)
    tls = scan(config.tls)
    attacher = Attacher()
    try:
        attached = attacher.handle(
            Attach(
                ring_bytes=os.sysconf("SC_PAGE_SIZE"),
                connections=64,
                processes=64,
                network_tcp=config.network.tcp.enabled and config.metrics.enabled,
                network_udp=config.network.udp and config.metrics.enabled,
                tcp_connections=64,
                tcp_peers=16,
                tls=config.tls.enabled,
                inject=inject_request(config, make_sampler()),
            )
        )
        attacher.handle(Detach())
    except KernelError as error:
        return Report(0, checks, {}, {}, tls, problem=str(error))
    assert isinstance(attached, Attached)
    return Report(0, checks, _advised(describe(attached.standings)), {}, tls)


def _advised(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Add to each rung that was refused what it would need."""
    return {
        name: {
            **found,
            "refused": [{**one, "advice": _ADVICE.get(one["rung"], "")} for one in found["refused"]],
        }
        for name, found in capabilities.items()
    }


def _checks() -> list[Check]:
    release, machine = platform.release(), platform.machine()
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    btf = Path("/sys/kernel/btf/vmlinux").exists()
    libbpf = ctypes.util.find_library("bpf") or ""
    lockdown = _selected("/sys/kernel/security/lockdown")
    statistics = _read("/proc/sys/kernel/bpf_stats_enabled") == "1"
    return [
        Check("kernel", version >= (5, 10), f"{release} {machine}", "Linux 5.10 or newer is needed"),
        _privileges(_read("/proc/self/status")),
        Check(
            "btf", btf, "/sys/kernel/btf/vmlinux" if btf else "none", "a kernel with CONFIG_DEBUG_INFO_BTF"
        ),
        Check("libbpf", bool(libbpf), libbpf or "none", "apt install libbpf1"),
        Check(
            "lockdown", lockdown != "confidentiality", lockdown, "lockdown=confidentiality forbids tracing"
        ),
        Check(
            "bpf statistics",
            not statistics,
            "on" if statistics else "off",
            "sysctl kernel.bpf_stats_enabled=0",
        ),
    ]


def _privileges(status: str) -> Check:
    """Look for what is held, not for who it is: root of a container may lack it, and others may have it."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    held = int(fields.get("CapEff", "0"), 16)
    wanted = _CAPABILITIES if not held >> _SYS_ADMIN & 1 else _CAPABILITIES[2:]
    missing = " ".join(f"CAP_{name}" for name, number in wanted if not held >> number & 1)
    return Check(
        "capabilities",
        not missing,
        f"uid {os.geteuid()}{f', without {missing}' if missing else ''}",
        "run as root, or grant them (docs/install.md)",
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _selected(path: str) -> str:
    """Return the word in brackets, e.g. of `none [integrity] confidentiality`."""
    text = _read(path)
    return text[text.find("[") + 1 : text.find("]")] if "[" in text else "none"
