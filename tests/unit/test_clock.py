"""The offset between the kernel's clock and the wall's."""

from __future__ import annotations

import pytest

from otel_ebpf.kernel import clock

OFFSET = 1_700_000_000_000_000_000


def test_a_reading_that_was_interrupted_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    pauses = iter([5_000_000, 200, 7_000_000, 100, 100, 100, 0, 9_000_000, 0])

    def passed() -> int:
        nonlocal now
        now += next(pauses)
        return now

    monkeypatch.setattr(clock, "clock_gettime_ns", lambda _: passed())
    monkeypatch.setattr(clock, "time_ns", lambda: OFFSET + passed())
    assert clock.boot_to_unix_ns() == OFFSET
