"""What writes `traceparent` into requests meets this kernel's verifier, and ends with the agent."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from pathlib import Path

import pytest

from otel_ebpf.kernel import cgroup_root, injection
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.injection import INJECT
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Inject, Standing, Walk, Walked
from otel_ebpf.kernel.tables import INJECTED_OUTCOMES
from tests.kernel.test_loading import RUNGS, SMALL, verified_instructions

pytestmark = pytest.mark.guest

ROOT = Path(__file__).resolve().parents[2]
EVERYBODY = Inject(any_port=1, ports={8080: 2}, by_parent=True, sampled_below=1 << 64)


def attach(attacher: Attacher, rung: str) -> Standing:
    attached = attacher.handle(Attach(rung=rung, tls=False, runtimes=False, inject=EVERYBODY, **SMALL))
    assert isinstance(attached, Attached)
    return next(one for one in attached.standings if one.capability == INJECT)


def translated_sizes(attacher: Attacher) -> dict[str, int]:
    """Return the bytes of each attached program's instructions, as the verifier leaves them."""
    sizes = {}
    for loaded in attacher._objects:
        for program, fd in zip(loaded._links, loaded.attached_fds(), strict=True):
            info, size = ctypes.create_string_buffer(232), ctypes.c_uint32(232)
            libbpf().integer("bpf_obj_get_info_by_fd", fd, info, ctypes.byref(size))
            sizes[program] = struct.unpack_from("<I", info, 20)[0]  # bpf_prog_info.xlated_prog_len
    assert sizes
    return sizes


@pytest.mark.parametrize("rung", RUNGS)
def test_beside_each_rung_where_sockets_have_no_fault(rung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "find_fault", lambda _: "")
    attacher = Attacher()
    try:
        assert attach(attacher, rung).rung == "sk_msg"
        assert isinstance(attacher.handle(Walk(1, 1)), Walked)
        counts = {}
        for loaded in attacher._objects:
            for program in loaded.programs:
                try:
                    counts[program] = verified_instructions(loaded.program_fd(program))
                except KernelError:
                    continue  # not one of this rung's
        print(counts)
        assert "write_context" in counts
        assert max(counts.values()) < 600_000, counts
    finally:
        attacher.handle(Detach())


def test_a_fault_costs_this_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one instruction of the hooks that count bytes, either."""
    plain = Attacher()
    try:
        plain.handle(Attach(rung=RUNGS[0], tls=False, runtimes=False, **SMALL))
        sizes = translated_sizes(plain)
    finally:
        plain.handle(Detach())
    monkeypatch.setattr(injection, "find_fault", lambda _: "FIONREAD is wrong")
    attacher = Attacher()
    try:
        standing = attach(attacher, RUNGS[0])
        assert standing.rung == ""
        assert standing.refusals[0].reason.endswith("a fault with sockets in a sockmap: FIONREAD is wrong")
        assert translated_sizes(attacher) == sizes
    finally:
        attacher.handle(Detach())


def test_without_a_hierarchy_of_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found too late, when the rest is attached: nothing of it stays."""
    monkeypatch.setattr(injection, "find_fault", lambda _: "")
    monkeypatch.setattr(cgroup_root, "cgroup_root", lambda: "/nowhere")
    attacher, before = Attacher(), len(os.listdir("/proc/self/fd"))
    try:
        assert "/nowhere" in attach(attacher, RUNGS[0]).refusals[0].reason
        assert "inject" not in {one.name.partition(".")[0] for one in attacher._objects}
    finally:
        attacher.handle(Detach())
    assert len(os.listdir("/proc/self/fd")) == before


def test_in_a_container_s_own_cgroups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By whose root the connections of others are not told of."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 23 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    monkeypatch.setattr(cgroup_root, "_MOUNTS", mounts)
    attacher = Attacher()
    try:
        assert attach(attacher, RUNGS[0]).refusals[0].reason.endswith("use --cgroupns=host")
    finally:
        attacher.handle(Detach())


def test_what_becomes_of_requests_has_the_same_names() -> None:
    text = (ROOT / "bpf" / "core" / "inject_head.h").read_text()
    declared = dict(re.findall(r"\bINJECTED_([A-Z_]+) = (\d+)", text))
    named = {name.upper(): str(number) for number, name in enumerate(INJECTED_OUTCOMES, start=1)}
    assert declared == {"NONE": "0", **named}
