"""Asks from outside: [ADDRESS:]PORT HOPS MARK REQUESTS AT_ONCE. So many threads keep a connection each."""

from __future__ import annotations

import http.client
import sys
from concurrent.futures import ThreadPoolExecutor


def visit(host: str, port: int, hops: str, mark: str, numbers: range) -> None:
    """Make requests over one connection, one for each number."""
    connection = http.client.HTTPConnection(host, port)
    for number in numbers:
        connection.request("GET", f"/walk/{number}/{hops}?n={mark}")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"request {number} was answered with {answer.status}")


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    hops, mark, requests, at_once = *sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5])
    with ThreadPoolExecutor(at_once) as pool:
        numbers = [range(start, requests, at_once) for start in range(at_once)]
        made = [pool.submit(visit, host or "127.0.0.1", int(port), hops, mark, some) for some in numbers]
        for one in made:
            one.result()


if __name__ == "__main__":
    main()
