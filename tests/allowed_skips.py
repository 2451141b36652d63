"""The rule on skips: in continuous integration a test that skips is listed in allowed_skips.txt."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

LIST = Path(__file__).with_name("allowed_skips.txt")


def allowed_patterns(text: str) -> list[str]:
    """Return the test id patterns that the list's text holds."""
    lines = (line.strip() for line in text.splitlines())
    return [line.split("  ")[0] for line in lines if line and not line.startswith("#")]


def unlisted(skipped: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return those of the skipped test ids that no pattern allows. A [ stands for itself."""
    plain = [pattern.replace("[", "[[]") for pattern in patterns]
    return [test for test in skipped if not any(fnmatchcase(test, pattern) for pattern in plain)]
