"""In continuous integration a test that skips must be listed in allowed_skips.txt, or the run fails.

These hooks are the session's, not a folder's: they judge integration/ too when it runs with tests/.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def allowed_patterns(text: str) -> list[str]:
    """Return the test id patterns of allowed_skips.txt."""
    lines = (line.strip() for line in text.splitlines())
    return [line.split("  ")[0] for line in lines if line and not line.startswith("#")]


def unlisted(skipped: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return those of the skipped test ids that no pattern allows; [] in an id is no pattern."""
    plain = [pattern.replace("[", "[[]") for pattern in patterns]
    return [test for test in skipped if not any(fnmatchcase(test, pattern) for pattern in plain)]


def _unlisted_skips(session: pytest.Session) -> list[str]:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return []
    skipped = [report.nodeid for report in reporter.stats.get("skipped", ())]
    return unlisted(skipped, allowed_patterns(ALLOWED.read_text()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    names = _unlisted_skips(session)
    if not names:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    reporter.section("skips that tests/allowed_skips.txt does not list", red=True)
    for name in names:
        reporter.line(name)
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
