"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_SECONDS = 60.0
"""Longer than any machine needs: to reach it is a failure."""


def wait_for(condition: Callable[[], object], told: Callable[[], object] = str) -> None:
    """Poll until `condition` is true; fail, and show what `told` gives, if it never is."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.005)
