"""Run one command under another kernel, in this checkout.

python -m integration.guest RELEASE COMMAND...      e.g. bookworm otel-ebpf doctor
"""

from __future__ import annotations

import sys

from integration.guest.kernels import RELEASES, fetch
from integration.guest.run import run_in_guest

TIMEOUT = 1800.0


def main(arguments: list[str]) -> int:
    """Print the command's output; return its exit status."""
    if len(arguments) < 2 or arguments[0] not in RELEASES:
        print(f"{__doc__}\nReleases: {', '.join(RELEASES)}", file=sys.stderr)
        return 2
    finished = run_in_guest(fetch(RELEASES[arguments[0]]), arguments[1:], timeout=TIMEOUT)
    print(finished.output, end="")
    print(f"up after {finished.boot_seconds} s, exit status {finished.status}", file=sys.stderr)
    return finished.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
