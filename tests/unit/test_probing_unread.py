"""Why a process cannot be read, and how many are told of."""

from __future__ import annotations

import os

import pytest

from otel_ebpf.probing.unread import (
    JAVA,
    NO_SYMBOLS,
    UNREADABLE,
    Obstacle,
    Unread,
    broken,
    excluded,
    not_attached,
    not_chosen,
    obstacle_of,
)

BROKEN = broken("/a", ValueError("it lies"))
EXCLUDED = excluded("/a", "/*")


@pytest.mark.parametrize(
    ("obstacles", "java", "files", "expected"),
    [
        ([], False, 1, NO_SYMBOLS),
        ([], False, 0, UNREADABLE),
        ([], True, 1, JAVA),
        ([BROKEN], False, 1, BROKEN),
        ([BROKEN], True, 1, JAVA),
        ([BROKEN, EXCLUDED], False, 2, EXCLUDED),
        ([EXCLUDED], True, 2, EXCLUDED),
    ],
)
def test_what_can_be_changed_comes_first(
    obstacles: list[Obstacle], java: bool, files: int, expected: Obstacle
) -> None:
    assert obstacle_of(obstacles, java, files) == expected


@pytest.mark.parametrize(
    "obstacle",
    [EXCLUDED, BROKEN, not_chosen("/a", ["openssl"]), not_attached("/a", ValueError("no"))],
)
def test_of_a_file_its_name_is_told(obstacle: Obstacle) -> None:
    assert "/a" in obstacle.text
    assert obstacle.advice


def test_it_is_bounded_and_says_how_many_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_ebpf.probing.unread._PROCESSES_MAX", 2)
    unread, own = Unread(), os.getpid()
    for pid in (own, 1, os.getppid()):
        unread.put(pid, JAVA)
    assert ({one["pid"] for one in unread.standing()}, unread.left_out) == ({own, 1}, 1)
    unread.put(1, NO_SYMBOLS)
    assert {one["pid"]: one["reason"] for one in unread.standing()}[1] == "no_symbols"
    unread.forget(os.getppid())
    assert unread.left_out == 0


def test_those_that_are_gone_are_forgotten() -> None:
    unread, gone = Unread(), 1 << 30
    unread.put(gone, JAVA)
    assert unread.standing() == []
    assert gone in unread
    unread.sweep()
    assert gone not in unread
