"""Run every benchmark but the soak and churn, each in a process of its own: forty minutes in all.

    python -m benchmarks [NAME...] [--quick]

`--quick` only shows that they work. Each can be run alone too: see `python -m benchmarks.NAME --help`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.host import ROOT

NAMES = (
    "startup",
    "user_space",
    "bpf_cost",
    "trap",
    "network",
    "disk_queue",
    "memory",
    "switching",
    "overhead",
    "runtimes",
    "wire",
)
BY_NAME = ("churn",)
"""It takes five minutes alone: run where it is asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES + BY_NAME)}")
    parser.add_argument("--quick", action="store_true", help="one round of a second; writes no results")
    given = parser.parse_args()
    if unknown := set(given.names) - {*NAMES, *BY_NAME}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    started = time.monotonic()
    failed = []
    for name in given.names or NAMES:
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if given.quick else [])]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"\n{time.monotonic() - started:.0f} s; see benchmarks/results/README.md")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
