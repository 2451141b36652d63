"""Asks from outside: PORT HOPS MARK REQUESTS AT_ONCE. Each of so many threads keeps a connection."""

from __future__ import annotations

import http.client
import sys
from concurrent.futures import ThreadPoolExecutor


def visit(port: int, hops: str, mark: str, numbers: range) -> None:
    """Make requests over one connection, one for each number."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for number in numbers:
        connection.request("GET", f"/walk/{number}/{hops}?n={mark}")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"request {number} was answered with {answer.status}")


def main() -> None:
    port, hops, mark, requests, at_once = int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5])
    with ThreadPoolExecutor(at_once) as pool:
        made = [
            pool.submit(visit, port, hops, mark, range(start, requests, at_once)) for start in range(at_once)
        ]
        for one in made:
            one.result()


if __name__ == "__main__":
    main()
