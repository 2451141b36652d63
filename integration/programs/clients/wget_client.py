"""wget, one process for all the requests over one connection: URL MARK COUNT METHOD.

It tells no times, so each request is said to have taken as long as the whole run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time

import measured  # type: ignore[import-not-found]


def main() -> None:
    url, mark, count, method = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    names = [f"{mark}-{number}" for number in range(count)]
    options = [f"--ca-certificate={os.environ['SSL_CERT_FILE']}", "--server-response", "-O", "/dev/null"]
    options += [f"--post-data={'y' * 2000}"] if method == "POST" else []
    with tempfile.TemporaryFile("w+") as output:
        start, began = time.time_ns(), time.monotonic_ns()
        urls = [f"{url}?n={name}" for name in names]
        subprocess.run(["wget", *options, *urls], stderr=output, check=True)
        took = time.monotonic_ns() - began
        output.seek(0)
        statuses = re.findall(r"^  HTTP/1\.1 (\d+)", output.read(), re.MULTILINE)
    for name, status in zip(names, statuses, strict=True):
        measured.report(name, start, took, int(status))


main()
