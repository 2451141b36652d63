"""The reader's pauses follow the load."""

from __future__ import annotations

import pytest

from otel_ebpf.kernel.pace import LONGEST, SHORTEST, TARGET, Pace


@pytest.mark.parametrize("rate", [10_000, 20_000])
def test_batches_come_to_have_the_size_that_is_aimed_at(rate: int) -> None:
    pace, taken = Pace(), 1
    for _ in range(20):
        taken = max(1, round(rate * pace.pause(taken)))
    assert abs(taken - TARGET) <= 2


def test_few_records_gather_for_the_longest_pause() -> None:
    pace = Pace()
    assert [pace.pause(1) for _ in range(3)] == [LONGEST] * 3


def test_however_many_come_there_is_a_shortest_pause() -> None:
    pace = Pace()
    assert [pace.pause(10_000) for _ in range(3)] == [SHORTEST] * 3


def test_a_pause_grows_again_when_the_load_goes() -> None:
    pace = Pace()
    pace.pause(10_000)
    assert pace.pause(1) == LONGEST
