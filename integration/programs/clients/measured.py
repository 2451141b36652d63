"""What the Python clients share: each request timed by the client's own clock, printed as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

BODY = b"y" * 2000


def run(request: Callable[[str, str, bytes | None], int]) -> None:
    """Make the requests that the command line asks for: URL MARK COUNT METHOD.

    `request` takes method, URL and body, reads the whole response, and returns its status.
    """
    url, mark, count, method = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    body = BODY if method == "POST" else None
    for number in range(count):
        name = f"{mark}-{number}"
        # In this order, `start_ns` plus `duration_ns` is never before the end.
        began = time.monotonic_ns()
        start = time.time_ns()
        status = request(method, f"{url}?n={name}", body)
        report(name, start, time.monotonic_ns() - began, status)


def report(
    name: str, start: int, duration: int, status: int, local_port: int = 0, peer_port: int = 0
) -> None:
    """Print one request: nanoseconds; its ports by this client and by its server, 0 if unknown."""
    line = {"n": name, "start_ns": start, "duration_ns": duration, "status": status}
    print(json.dumps({**line, "local_port": local_port, "peer_port": peer_port}))
