"""`make demo`: a newcomer on an idle machine sees requests, by service, within seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from integration.guest.run import CHECKOUT
from integration.harness.limits import slack


@pytest.mark.fast
def test_the_demo_shows_its_services_and_ends_by_itself() -> None:
    command = [sys.executable, str(CHECKOUT / "tools" / "demo.py"), "--seconds", str(slack(6))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=slack(60), check=False)
    assert done.returncode == 0, done.stderr
    assert "ready" in done.stderr
    live, _, summary = done.stdout.rpartition("\nservice ")
    for expected in ("stock", "shop", "visitor", "GET /stock/{id}"):
        assert expected in live, done.stdout
        assert expected in summary, done.stdout
