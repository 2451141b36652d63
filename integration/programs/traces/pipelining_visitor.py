"""Asks without waiting for answers: PORT HOPS MARK REQUESTS AT_ONCE.

Of so many connections, each has five requests under way at a time.
"""

from __future__ import annotations

import http.client
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

TOGETHER = 5


def visit(port: int, hops: str, mark: str, numbers: list[int]) -> None:
    """Send requests five at a time over one connection, and read their answers."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        answers = connection.makefile("rb")
        for start in range(0, len(numbers), TOGETHER):
            some = numbers[start : start + TOGETHER]
            heads = [f"GET /walk/{number}/{hops}?n={mark} HTTP/1.1\r\nHost: any\r\n\r\n" for number in some]
            connection.sendall("".join(heads).encode())
            for number in some:
                read_answer(answers, number)


def read_answer(answers: object, number: int) -> None:
    """Read one of several answers that stand in a row."""
    answer = http.client.HTTPResponse(Shared(answers))  # type: ignore[arg-type]
    answer.begin()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"request {number} was answered with {answer.status}")


class Shared:
    """A stream that is read on where the answer before ended."""

    def __init__(self, answers: object) -> None:
        self._answers = answers

    def makefile(self, mode: str) -> object:
        return self

    def __getattr__(self, name: str) -> object:
        return getattr(self._answers, name)

    def close(self) -> None:
        """Leave it open for the next one."""


def main() -> None:
    port, hops, mark, requests, at_once = int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5])
    with ThreadPoolExecutor(at_once) as pool:
        made = [
            pool.submit(visit, port, hops, mark, list(range(start, requests, at_once)))
            for start in range(at_once)
        ]
        for one in made:
            one.result()


if __name__ == "__main__":
    main()
