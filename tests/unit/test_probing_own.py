"""Which processes get probes of their own, and until when."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tls_support import Host, NotingAttacher, host

from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.kernel.messages import Point
from otel_ebpf.probing import own
from otel_ebpf.probing.own import OwnProbes

__all__ = ["host"]

POINTS = (Point("node_awaits", 64),)


@dataclass
class Trial:
    """The class under test, and how often each process is said to have mapped the code."""

    probes: OwnProbes
    attacher: NotingAttacher
    times: dict[int, int] = field(default_factory=dict)


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Trial:
    attacher = NotingAttacher()
    made = Trial(OwnProbes(attacher.as_attacher, lambda: None), attacher)
    monkeypatch.setattr(own, "times_mapped", lambda pid, name, offset: made.times.get(pid, 0))
    return made


@pytest.fixture
def program(host: Host) -> Mapping:
    mapping = host.file("node")
    return mapping._replace(name=mapping.path)


def test_each_process_once_when_the_code_is_mapped_twice(host: Host, trial: Trial, program: Mapping) -> None:
    one, other = host.process(program), host.process(program)
    trial.times = {one: 1, other: 2}
    for pid in (one, other, other):
        trial.probes.consider(program, POINTS, pid)
    assert trial.attacher.attached == [(program.path, other)]
    assert trial.probes.is_due(program, POINTS, one)
    assert not trial.probes.is_due(program, POINTS, other)
    assert not trial.probes.is_due(program, (), one)


def test_a_process_that_cannot_open_its_file_again_gets_none(
    host: Host, trial: Trial, program: Mapping
) -> None:
    pid = host.process(program)
    trial.times[pid] = 2
    path = Path(program.path)
    path.unlink()
    trial.probes.consider(program, POINTS, pid)
    path.write_text("another file of this name")
    trial.probes.consider(program._replace(file=(1, 1)), POINTS, pid)
    assert not trial.attacher.attached


@pytest.mark.parametrize("gone", ["file", "process"])
def test_probes_are_taken_away_where_that_is_no_longer_so(
    host: Host, trial: Trial, program: Mapping, gone: str
) -> None:
    pid = host.process(program)
    trial.times[pid] = 2
    trial.probes.consider(program, POINTS, pid)
    trial.probes.sweep()
    assert trial.attacher.detached == []
    if gone == "file":
        os.unlink(program.path)
    else:
        host.end(pid)
    trial.probes.sweep()
    assert trial.attacher.detached == [1]


def test_a_file_is_let_go_with_all_its_processes(host: Host, trial: Trial, program: Mapping) -> None:
    pids = [host.process(program) for _ in range(2)]
    trial.times = dict.fromkeys(pids, 2)
    for pid in pids:
        trial.probes.consider(program, POINTS, pid)
    trial.probes.forget(pids[0])
    trial.probes.detach(program.file)
    assert trial.attacher.detached == [1, 2]


def test_what_the_kernel_refuses_is_tried_once(host: Host, trial: Trial, program: Mapping) -> None:
    trial.attacher.refuses.add(program.path)
    pid = host.process(program)
    trial.times[pid] = 2
    for _ in range(2):
        trial.probes.consider(program, POINTS, pid)
    assert len(trial.attacher.attached) == 1


def test_a_path_that_is_gone_meanwhile_says_nothing_of_the_file(
    host: Host, trial: Trial, program: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names a mapping of the process, which may have ended, or maps its code otherwise now."""
    pid = host.process(program)
    trial.times[pid] = 2
    with monkeypatch.context() as patched:
        patched.setattr("otel_ebpf.probing.own.version_of", lambda path: None)
        trial.attacher.refuses.add(program.path)
        trial.probes.consider(program, POINTS, pid)
    trial.attacher.refuses.clear()
    assert trial.probes.is_due(program, POINTS, pid)
    trial.probes.consider(program, POINTS, pid)
    assert not trial.probes.is_due(program, POINTS, pid)
