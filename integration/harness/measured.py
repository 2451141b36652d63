"""What a client measured of its own requests."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.harness.limits import PATIENCE, slack


@dataclass(frozen=True)
class Measured:
    """One request by the client's own clock: nanoseconds, `start` of the Unix epoch, 0 if unknown."""

    mark: str
    start: int
    duration: int
    status: int


def new_mark() -> str:
    """A word that no other request of this run carries."""
    return uuid.uuid4().hex[:12]


def parse(lines: Iterable[str]) -> list[Measured]:
    """Read what the client programs print."""
    read = (json.loads(line) for line in lines if line.strip())
    return [Measured(one["n"], one["start_ns"], one["duration_ns"], one["status"]) for one in read]


def run_client(
    command: Sequence[str | Path], *arguments: object, seconds: float = PATIENCE
) -> list[Measured]:
    """Run a client program to its end; return what it measured."""
    words = [str(word) for word in (*command, *arguments)]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=slack(seconds), check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{words} failed:\n{done.stdout}{done.stderr}"
    return parse(done.stdout.splitlines())


def drive(
    port: int,
    paths: Sequence[str],
    *,
    mark: str = "",
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> list[Measured]:
    """Make one request for each path from this process, over one kept connection, as a plain client."""
    mark = mark or new_mark()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=slack(PATIENCE))
    connection.connect()
    measured = []
    for number, path in enumerate(paths):
        name = f"{mark}-{number}"
        began, start = time.monotonic_ns(), time.time_ns()
        connection.request(method, f"{path}?n={name}", body=body, headers=headers or {})
        response = connection.getresponse()
        response.read()
        measured.append(Measured(name, start, time.monotonic_ns() - began, response.status))
    connection.close()
    return measured
