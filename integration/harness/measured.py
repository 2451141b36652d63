"""What a client measured of its own requests."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.harness.limits import PATIENCE, slack

MARK_LENGTH = 12
"""Of the words that `new_mark` makes."""


@dataclass(frozen=True)
class Measured:
    """One request by the client's own clock: nanoseconds, `start` of the Unix epoch, 0 if unknown.

    `local_port` is the client's own port, and `peer_port` the one that the server says it saw; 0 if unknown.
    """

    mark: str
    start: int
    duration: int
    status: int
    local_port: int = 0
    peer_port: int = 0


def new_mark() -> str:
    """A word that no other request of this run carries."""
    return uuid.uuid4().hex[:MARK_LENGTH]


def parse(lines: Iterable[str]) -> list[Measured]:
    """Read what the client programs print."""
    read = (json.loads(line) for line in lines if line.strip())
    return [
        Measured(
            one["n"],
            one["start_ns"],
            one["duration_ns"],
            one["status"],
            one.get("local_port", 0),
            one.get("peer_port", 0),
        )
        for one in read
    ]


def run_client(
    command: Sequence[str | Path],
    *arguments: object,
    seconds: float = PATIENCE,
    environment: Mapping[str, str] | None = None,
) -> list[Measured]:
    """Run a client program to its end; return what it measured."""
    words = [str(word) for word in (*command, *arguments)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=slack(seconds),
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
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
    tls: ssl.SSLContext | None = None,
) -> list[Measured]:
    """Make one request for each path from this process, over one kept connection, as a plain client.

    With `tls` over TLS, the server verified by it.
    """
    connection = connect(port, tls)
    measured = ask(connection, paths, mark=mark or new_mark(), method=method, body=body, headers=headers)
    connection.close()
    return measured


def connect(port: int, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    """Connect to a port of loopback, with `tls` over TLS."""
    limit = slack(PATIENCE)
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=limit, context=tls)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=limit)
    )
    connection.connect()
    return connection


def ask(
    connection: http.client.HTTPConnection,
    paths: Sequence[str],
    *,
    mark: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> list[Measured]:
    """Make one request for each path over a connection, which opens itself again where it was closed."""
    measured = []
    for number, path in enumerate(paths):
        name = f"{mark}-{number}"
        began, start = time.monotonic_ns(), time.time_ns()
        connection.request(method, f"{path}?n={name}", body=body, headers=headers or {})
        local_port = connection.sock.getsockname()[1]
        response = connection.getresponse()
        response.read()
        measured.append(Measured(name, start, time.monotonic_ns() - began, response.status, local_port))
    return measured
