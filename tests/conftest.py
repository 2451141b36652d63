"""In continuous integration a test that skips must be listed in allowed_skips.txt, or the run fails.

The hook is the session's, not a folder's: it judges integration/ too when that runs with tests/.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.allowed_skips import allowed_patterns, unlisted

# A busy host is no failure.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    skipped = [report.nodeid for report in reporter.stats.get("skipped", ())]
    if names := unlisted(skipped, allowed_patterns(ALLOWED.read_text())):
        reporter.section("skips that tests/allowed_skips.txt does not list", red=True)
        for name in names:
            reporter.line(name)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
