"""Whose requests are followed, until when, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tls_support import Host, NotingAttacher, NotingTables, host

from otel_ebpf.config import Tls, Traces
from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.probing.files import Files
from otel_ebpf.probing.probes import KEPT_SECONDS
from otel_ebpf.probing.runtimes import Runtimes

__all__ = ["host"]


@dataclass
class Followed:
    """The class under test and what it told others to do."""

    runtimes: Runtimes
    attacher: NotingAttacher
    tables: NotingTables

    def pass_seconds(self, host: Host, seconds: float, **hits: int) -> None:
        host.now += seconds
        for pid, number in hits.items():
            self.tables.runtimes[int(pid.removeprefix("p"))] += number
        self.runtimes.keep_to_budget()


@pytest.fixture
def followed(host: Host) -> Followed:
    attacher, tables = NotingAttacher(), NotingTables()
    made = Runtimes(attacher.as_attacher, tables.as_tables, Files(Tls()), Traces(), frozenset())
    return Followed(made, attacher, tables)


@pytest.fixture
def program(host: Host) -> Mapping:
    return host.file("server", runtime="go")


def test_the_kernel_is_told_of_each_process_and_the_file_attached_once(
    host: Host, followed: Followed, program: Mapping
) -> None:
    one, other = host.process(program), host.process(program)
    for pid in (one, other, one):
        followed.runtimes.consider(program, pid, pid)
    assert followed.tables.runtimes.keys() == {one, other}
    assert followed.attacher.attached == [(program.path, 0)]
    assert followed.tables.files == {1: 1}
    followed.pass_seconds(host, 2, **{f"p{one}": 200, f"p{other}": 20})
    told = {"runtime": "go", "path": program.name, "processes": 2, "hits": 110, "percent": 0.0}
    assert followed.runtimes.standing() == {"followed": [told], "given_up": []}


def test_a_process_whose_id_in_the_initial_namespace_is_not_known_yet(
    host: Host, followed: Followed, program: Mapping
) -> None:
    pid = host.process(program)
    followed.runtimes.consider(program, pid, 0)
    assert not followed.tables.runtimes
    followed.runtimes.consider(program, pid, 70000)
    assert followed.tables.runtimes.keys() == {70000}


def test_a_process_whose_environment_says_that_it_cannot_be_followed(
    host: Host, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = host.file("socket.so", runtime="ruby")
    one = host.process(program)
    monkeypatch.setenv("MOVES", "1")
    other = host.process(program)
    for pid in (one, other, other):
        followed.runtimes.consider(program, pid, pid)
    assert followed.tables.runtimes.keys() == {one}
    assert followed.tables.refused == [other]


def test_another_process_of_the_same_id_is_told_of_again(
    host: Host, followed: Followed, program: Mapping
) -> None:
    pid = host.process(program)
    followed.runtimes.consider(program, pid, pid)
    followed.tables.runtimes.clear()  # as exit does
    followed.runtimes.consider(program, pid, pid)
    assert not followed.tables.runtimes
    followed.runtimes.forget(pid, pid)
    followed.runtimes.consider(program, pid, pid)
    assert followed.tables.runtimes.keys() == {pid}


def test_a_program_over_the_budget_is_let_go_for_good(
    host: Host, followed: Followed, program: Mapping, caplog: pytest.LogCaptureFixture
) -> None:
    pid = host.process(program)
    followed.runtimes.consider(program, pid, pid)
    limit = Traces().runtime_percent * 10_000  # hits of 1,000 ns
    followed.pass_seconds(host, 5, **{f"p{pid}": 5 * limit})
    assert followed.attacher.detached == []
    followed.pass_seconds(host, 5, **{f"p{pid}": 5 * limit + 10})
    assert followed.attacher.detached == [1]
    assert not followed.tables.runtimes
    assert followed.tables.files == {1: 0}
    assert "traces.runtime_percent" in caplog.text
    followed.runtimes.consider(program, pid, pid)
    assert len(followed.attacher.attached) == 1
    (told,) = followed.runtimes.standing()["given_up"]
    assert told == {
        "path": program.name,
        "reason": f"process {pid} hit its probes {limit + 2} times a second",
    }


def test_what_is_not_chosen_is_left_alone(host: Host, program: Mapping) -> None:
    attacher, tables = NotingAttacher(), NotingTables()
    none = Traces(runtimes=())
    runtimes = Runtimes(attacher.as_attacher, tables.as_tables, Files(Tls()), none, frozenset())
    runtimes.consider(program, host.process(program), 1)
    assert not attacher.attached
    assert not tables.runtimes


def test_what_the_kernel_refuses_is_tried_once(host: Host, followed: Followed, program: Mapping) -> None:
    followed.attacher.refuses.add(program.path)
    for _ in range(2):
        followed.runtimes.consider(program, host.process(program), 1)
    assert len(followed.attacher.attached) == 1
    assert not followed.tables.runtimes


def test_a_file_without_users_is_let_go_and_its_number_given_again(
    host: Host, followed: Followed, program: Mapping
) -> None:
    pid = host.process(program)
    followed.runtimes.consider(program, pid, pid)
    host.end(pid)
    host.now += KEPT_SECONDS + 1
    assert followed.runtimes.unused()
    followed.runtimes.let_go_of_unused()
    assert followed.attacher.detached == [1]
    other = host.file("other", runtime="go")
    followed.runtimes.consider(other, host.process(other), 5)
    assert followed.tables.files == {1: 1}


def test_a_process_that_had_ended_when_the_kernel_was_told_of_it_does_not_stay_there(
    host: Host, followed: Followed, program: Mapping
) -> None:
    """Its exit was before that, so nothing else takes it from the map."""
    pid, other = host.process(program), host.process(program)
    for one in (pid, other):
        followed.runtimes.consider(program, one, one)
    host.end_unheeded(pid)
    followed.pass_seconds(host, 5)
    assert followed.tables.runtimes.keys() == {other}
