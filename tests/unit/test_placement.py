"""The agent keeps off the processors that others saturate."""

from __future__ import annotations

import os
import threading

import pytest

from otel_ebpf import placement
from otel_ebpf.placement import Placement, crowded, idle_seconds
from tests.no_more_files import no_more_files


@pytest.mark.parametrize(
    ("others", "before", "avoided"),
    [
        ({0: 0.1, 1: 0.2}, set(), set()),
        ({0: 0.99, 1: 0.5}, set(), {0}),
        ({0: 0.75, 1: 0.5}, set(), set()),
        ({0: 0.75, 1: 0.5}, {0}, {0}),
        ({0: 0.6, 1: 0.5}, {0}, set()),
        ({0: 0.99, 1: 0.99}, set(), set()),
        ({0: 0.99, 1: 0.99}, {0}, set()),
        ({}, set(), set()),
    ],
)
def test_what_is_avoided(others: dict[int, float], before: set[int], avoided: set[int]) -> None:
    assert crowded(others, before) == avoided


def test_every_processor_has_been_idle_for_some_time() -> None:
    assert set(idle_seconds()) >= os.sched_getaffinity(0)
    assert all(seconds >= 0 for seconds in idle_seconds().values())


class Host:
    """Two processors, a clock, and this process's own time, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.idle = {0: 0.0, 1: 0.0}
        self.now = self.own = 0.0
        self.cpu = 0
        self.moves: list[set[int]] = []
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: self.moves.append(set(cpus)))
        monkeypatch.setattr(placement, "idle_seconds", lambda: dict(self.idle))
        monkeypatch.setattr(placement, "_current", lambda: self.cpu)
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.process_time", lambda: self.own)

    def second(self, one: Placement, idle: tuple[float, float], own: float, cpu: int) -> None:
        """A second passes, in which the agent used `own` of it on `cpu`."""
        self.now += 1
        self.own += own
        self.cpu = cpu
        one.ran()
        for number, seconds in enumerate(idle):
            self.idle[number] += seconds
        one.settle()


def test_it_leaves_a_saturated_processor_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    one = Placement()
    host.second(one, (0.0, 0.5), own=0.05, cpu=0)
    assert host.moves[-1] == {1}
    host.second(one, (0.0, 0.1), own=0.4, cpu=1)
    assert host.moves[-1] == {1}, "what it uses itself is no reason to go"
    host.second(one, (0.5, 0.1), own=0.4, cpu=1)
    assert host.moves[-1] == {0, 1}


def test_it_stays_where_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    host.second(Placement(), (0.0, 0.9), own=0.9, cpu=0)
    assert host.moves == []


def test_it_stays_where_nothing_can_be_read() -> None:
    one = Placement()
    with no_more_files():
        one.settle()


def test_all_threads_move_and_none_leaves_what_the_process_was_given() -> None:
    given = os.sched_getaffinity(0)
    if len(given) < 2:
        pytest.fail("the project's tests need two processors")
    ready, done = threading.Event(), threading.Event()
    seen: list[set[int]] = []

    def work() -> None:
        ready.set()
        done.wait()
        seen.append(os.sched_getaffinity(0))

    other = threading.Thread(target=work)
    other.start()
    ready.wait()
    one = Placement()
    try:
        one._move({min(given)})
        assert os.sched_getaffinity(0) == {min(given)}
    finally:
        done.set()
        other.join()
        one._move(given)
    assert seen == [{min(given)}]
    assert os.sched_getaffinity(0) == given
