"""What is attached, what could not be, and how often programs ran, by the kernel's own words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from otel_ebpf.kernel import program_runs
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ladder import PAYLOAD, RESOLVER, STATISTICS
from otel_ebpf.kernel.messages import Attach, AttachFile, CountProbes, Detach, DetachFile, Point
from otel_ebpf.kernel.program_runs import ProgramRuns
from tests.kernel.btf import Btf

SMALL = {"ring_bytes": 65536, "connections": 64, "processes": 64, "tls": False, "runtimes": False}
UPROBE = (RESOLVER, "uprobe")


@pytest.fixture
def attacher():
    made = Attacher()
    yield made
    made.handle(Detach())


def some_place(path: Path) -> tuple[str, int]:
    """Return a file of the test's own, and the offset in it of its first instruction that runs."""
    output = subprocess.run(["readelf", "-hlW", path], check=True, capture_output=True, text=True).stdout
    entry = next(int(line.split()[-1], 16) for line in output.splitlines() if "Entry point" in line)
    for words in map(str.split, output.splitlines()):
        if words[:1] == ["LOAD"]:
            offset, address, size = (int(words[index], 16) for index in (1, 2, 4))
            if address <= entry < address + size:
                return str(path), entry - address + offset
    raise AssertionError(output)


def test_probes_and_failures(attacher, tmp_path):
    attached = attacher.handle(Attach(**SMALL))
    (standing,) = [one for one in attached.standings if one.capability == PAYLOAD]
    before = attacher.handle(CountProbes())
    assert before.attached[PAYLOAD, standing.rung] >= 1
    assert UPROBE not in before.attached
    refused = {(PAYLOAD, one.rung) for one in standing.refusals}
    assert {key[:2] for key in before.failures} >= refused
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    path, offset = some_place(program)
    token = attacher.handle(AttachFile(path, (Point("resolver_getaddrinfo", offset),))).token
    assert attacher.handle(CountProbes()).attached[UPROBE] == 1
    for _ in range(2):
        with pytest.raises(KernelError):
            attacher.handle(AttachFile(str(tmp_path / "none"), (Point("resolver_getaddrinfo", 0),)))
    failures = attacher.handle(CountProbes()).failures
    assert failures[*UPROBE, "ENOENT"] == 2
    attacher.handle(DetachFile(token))
    assert attacher.handle(CountProbes()).attached[UPROBE] == 0
    attacher.handle(Detach())
    assert attacher.handle(CountProbes()).attached == {UPROBE: 0}


def test_runs_are_counted_while_the_agent_runs(attacher):
    attached = attacher.handle(Attach(statistics=True, **SMALL))
    assert {one.rung for one in attached.standings if one.capability == STATISTICS} == {"run_time"}
    runs = ProgramRuns(attached.loaded)
    before = runs.read()["process_fork"]
    for _ in range(20):
        subprocess.run(["true"], check=True)
    after = runs.read()["process_fork"]
    assert after.number >= before.number + 20
    assert after.nanoseconds > before.nanoseconds
    descriptor = attacher._statistics
    assert "bpf-stats" in os.readlink(f"/proc/self/fd/{descriptor}")
    attacher.handle(Detach())
    assert not os.path.exists(f"/proc/self/fd/{descriptor}")


def test_nothing_is_timed_unless_that_is_wanted(attacher):
    attached = attacher.handle(Attach(**SMALL))
    assert not [one for one in attached.standings if one.capability == STATISTICS]


@pytest.mark.guest
def test_offsets_are_those_of_the_running_kernel():
    btf = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
    offsets = {field.name: field.offset for field in btf.struct("bpf_prog_info")[1]}
    assert (offsets["run_time_ns"], offsets["run_cnt"]) == (program_runs._RUNS[1], program_runs._RUNS[1] + 8)
