"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import FOLDER


@dataclass(frozen=True, slots=True)
class Options:
    """How long to measure, and where results go; `folder` None writes nothing."""

    rounds: int
    seconds: int
    folder: Path | None
    quick: bool


def parse(what: str | None, *, rounds: int, seconds: int, arguments: list[str] | None = None) -> Options:
    """Read the command line; `rounds` and `seconds` are this benchmark's defaults.

    `--quick` only shows that the benchmark works: a round of a second, nothing written.
    """
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often ({rounds})")
    parser.add_argument("--seconds", type=int, default=seconds, help=f"length of a round ({seconds})")
    parser.add_argument("--quick", action="store_true", help="one round of a second; writes no results")
    parser.add_argument("--results", type=Path, default=None, help="folder to write to")
    given = parser.parse_args(arguments)
    if given.quick:
        return Options(1, 1, given.results, True)
    return Options(given.rounds, given.seconds, given.results or FOLDER, False)
