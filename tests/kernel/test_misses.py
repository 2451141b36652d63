"""Events that the kernel did not run a program for are in the ledger, by the kernel's own counters."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

import msgspec
import pytest

from otel_ebpf.agent import Agent
from otel_ebpf.config import Config
from otel_ebpf.environment import read_environment
from otel_ebpf.export.pipeline import build
from otel_ebpf.export.settings import ExportSettings
from otel_ebpf.kernel import misses
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ladder import LADDERS, Rung
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.messages import Attach, Detach
from otel_ebpf.kernel.misses import Misses
from tests.kernel.btf import Btf
from tests.kernel.build import with_object

SMALL = {"ring_bytes": 65536, "connections": 64, "processes": 64}
FAULTS = 50
RECURSIVE = (Rung("only", "recursive", ("faults_again",), "", (), ("",)),)


def fault_in_the_kernel() -> None:
    """Let the kernel copy into pages that are not there yet."""
    with mmap.mmap(-1, FAULTS * mmap.PAGESIZE) as pages, Path("/dev/zero").open("rb", buffering=0) as zeros:
        for page in range(FAULTS):
            zeros.readinto(memoryview(pages)[page * mmap.PAGESIZE :][:8])


@pytest.mark.guest
def test_an_event_amid_the_same_event_is_run_or_counted(tmp_path):
    """From 6.2 on the kernel leaves it out, and says so; before, it runs the program again."""
    attacher = Attacher({**LADDERS, "recursive": RECURSIVE}, with_object(tmp_path, "recursive"))
    try:
        attached = attacher.handle(Attach(**SMALL))
        counted = Misses(attached.programs, attached.links)
        fault_in_the_kernel()
        runs, key = ctypes.c_uint64(), ctypes.c_uint32(1)
        libbpf().integer("bpf_map_lookup_elem", attached.maps["runs"], ctypes.byref(key), ctypes.byref(runs))
        assert counted.total() + runs.value >= FAULTS, (counted.total(), runs.value)
    finally:
        attacher.handle(Detach())
    assert counted.total() == 0, "what is closed says nothing"


def test_the_agent_s_ledger_has_them(tmp_path):
    """event_missed, on a host's kernel: 6.2 or later."""
    attacher = Attacher({**LADDERS, "recursive": RECURSIVE}, with_object(tmp_path, "recursive"))
    settings = {"telemetry": {"status_socket": "", "metrics": False}, "capture": SMALL}
    nowhere = ExportSettings(traces=())
    agent = Agent(
        msgspec.convert(settings, Config),
        read_environment({}),
        lambda ledger: build(nowhere, ledger.shard),
        attacher,
    )
    agent.start()
    try:
        fault_in_the_kernel()
        assert agent.totals()[Entry.EVENT_MISSED] >= FAULTS
    finally:
        agent.stop()


@pytest.mark.guest
def test_offsets_are_those_of_the_running_kernel():
    btf = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
    offsets = {field.name: field.offset for field in btf.struct("bpf_prog_info")[1]}
    if "recursion_misses" in offsets:  # 5.12
        assert offsets["recursion_misses"] == misses._RECURSION_MISSES[1]
    offsets = {field.name: field.offset for field in btf.struct("bpf_link_info")[1]}
    if "perf_event.kprobe.missed" in offsets:  # 6.7
        assert offsets["perf_event.kprobe.missed"] == misses._MISSED[1]
        assert offsets["perf_event.type"] == misses._LINK.size - 4


@pytest.mark.parametrize(("kind", "event", "due"), [(7, 3, 5), (7, 4, 5), (7, 1, 0), (2, 3, 0), (0, 0, 0)])
def test_only_the_links_of_kprobes_have_misses(kind, event, due):
    info = bytearray(256)
    misses._LINK.pack_into(info, 0, kind, 1, 1, event)
    info[48] = 5
    assert misses.probe_misses(bytes(info)) == due
