"""curl, one process for all the requests over one connection; it says itself how long each took.

It has no clock of the day to show: `start_ns` is 0.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile

FORMAT = "%{url_effective} %{http_code} %{time_total} %{time_pretransfer}\\n"


def main() -> None:
    url, mark, count, method = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    body = ["--data-binary", "y" * 2000] if method == "POST" else []
    urls = [word for i in range(count) for word in ("-o", "/dev/null", f"{url}?n={mark}-{i}")]
    with tempfile.TemporaryFile("w+") as output:
        # Its standard output is a file: curl must not wait for a reader between requests.
        subprocess.run(["curl", "-s", "-w", FORMAT, *body, *urls], stdout=output, check=True)
        output.seek(0)
        for line in output:
            address, status, total, _ = line.split()
            found = re.search(r"n=([\w-]+)", address)
            assert found
            taken = int(float(total) * 1e9)
            print(json.dumps({"n": found[1], "start_ns": 0, "duration_ns": taken, "status": int(status)}))


main()
