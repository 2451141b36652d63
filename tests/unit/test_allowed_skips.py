"""The rule that CI may skip only what is listed (tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent
RULE = (ROOT / "tests" / "conftest.py").read_text()
TEST = "import pytest\n@pytest.mark.parametrize('n', [1])\ndef test_it(n): pytest.skip('not here')\n"


@pytest.fixture
def outcome(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(RULE)
    pytester.makepyfile(test_sample=TEST)
    return pytester


def test_an_unlisted_skip_fails_the_run(outcome: pytest.Pytester) -> None:
    (outcome.path / "allowed_skips.txt").write_text("# nothing\n")
    result = outcome.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*does not list*", "test_sample.py::test_it*"])
    result.stdout.fnmatch_lines(["*1 skipped in*"])


@pytest.mark.parametrize(
    "line", ["test_sample.py::test_it[1]  uname: no", "test_sample.py::test_it[1]", "test_sample.py::*  x"]
)
def test_a_listed_skip_passes(outcome: pytest.Pytester, line: str) -> None:
    (outcome.path / "allowed_skips.txt").write_text(line + "\n")
    assert outcome.runpytest_subprocess().ret == pytest.ExitCode.OK


def test_outside_ci_nothing_is_judged(outcome: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI")
    (outcome.path / "allowed_skips.txt").write_text("")
    assert outcome.runpytest_subprocess().ret == pytest.ExitCode.OK
