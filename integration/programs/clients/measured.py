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
        line = {"n": name, "start_ns": start, "duration_ns": time.monotonic_ns() - began, "status": status}
        print(json.dumps(line))
