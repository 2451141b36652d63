"""The load generator: wrk, on a processor of its own, and what it measured."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from dataclasses import dataclass

from benchmarks.servers import LOAD_CPU, PROGRAMS, pinned

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Load:
    """One run of wrk. Latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class LoadError(RuntimeError):
    """wrk failed, or some of its requests did."""


def start_wrk(
    port: int,
    seconds: int,
    *,
    close: bool = False,
    tls: bool = False,
    script: str = "report.lua",
    path: str = "/",
    connections: int = CONNECTIONS,
) -> subprocess.Popen[str]:
    """Start wrk, with 64 connections by default; `close` makes one for each request. See `finish_wrk`."""
    command = pinned(LOAD_CPU, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency")
    command += ["--script", PROGRAMS / script]
    if close:
        command += ["--header", "Connection: close"]
    command.append(f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}")
    return subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def finish_wrk(process: subprocess.Popen[str], seconds: int) -> Load:
    """Wait for wrk's end and return what it says. Raises LoadError."""
    try:
        output, _ = process.communicate(timeout=seconds + 20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0 or "{" not in output:
        raise LoadError(f"wrk ended with status {process.returncode}: {output}")
    said = json.loads(output.splitlines()[-1])
    if said["errors"] or not said["requests"]:
        raise LoadError(f"not every request of wrk's was answered: {said}")
    return Load(said["requests"], said["duration"] / 1e6, said["p50"] / 1e3, said["p99"] / 1e3)


def wrk(
    port: int, seconds: int, *, close: bool = False, tls: bool = False, script: str = "report.lua"
) -> Load:
    """Run wrk from start to end."""
    return finish_wrk(start_wrk(port, seconds, close=close, tls=tls, script=script), seconds)


def warm(port: int, requests: int = 200, *, tls: bool = False) -> None:
    """Make a few requests, so that caches are filled and the agent has met the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    if tls:
        trusting = ssl._create_unverified_context()  # as wrk is
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)
    for _ in range(requests):
        connection.request("GET", "/")
        connection.getresponse().read()
    connection.close()
