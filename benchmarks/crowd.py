"""Ten thousand open connections to nginx at a steady rate, and the agent's memory meanwhile."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.build import compiled
from benchmarks.servers import LOAD_CPU, Server, pinned

CONNECTIONS, RATE = 10_000, 10_000
REQUESTS_EACH = 200
"""Then a connection is closed and opened anew: what leaks with connections shows too."""

_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in MB (10**6 bytes), by kind (proc(5), status)."""

    total: float
    anonymous: float
    file: float
    """Mapped files; the kernel counts the ring buffer's pages here."""


@dataclass(slots=True)
class Crowd:
    """A load that runs. The figures are of its whole run, and there after it."""

    process: subprocess.Popen[str]
    requests: int = 0
    answered: int = 0
    reopened: int = 0
    seconds: float = 0.0
    memory: list[Memory] = field(default_factory=list)

    def watch(self, pid: int, every: float) -> None:
        """Read a process's memory every so many seconds, until the load has ended."""
        while True:
            try:
                self.process.wait(every)
            except subprocess.TimeoutExpired:
                self.memory.append(memory_of(pid))
            else:
                return


class CrowdError(RuntimeError):
    """The load could not be made as it should."""


def memory_of(pid: int) -> Memory:
    """Read the resident memory of a process."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.startswith(("VmRSS", "Rss")):
            fields[name] = int(value.split()[0]) * 1024 / 1e6
    return Memory(fields["VmRSS"], fields["RssAnon"], fields["RssFile"] + fields["RssShmem"])


@contextmanager
def crowd(server: Server, connections: int, rate: int, seconds: int) -> Iterator[Crowd]:
    """Open the connections and send at that rate for that long; leaving the context awaits the end."""
    with compiled("connections") as program:
        numbers = (server.port, connections, rate, seconds, REQUESTS_EACH)
        command = [str(word) for word in pinned(LOAD_CPU, program, *map(str, numbers))]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "open\n":
                raise CrowdError("the connections could not be opened")
            running = Crowd(process)
            yield running
            _finish(running, seconds)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            time.sleep(0.1)


def _finish(running: Crowd, seconds: int) -> None:
    output, _ = running.process.communicate(timeout=seconds + _GRACE_SECONDS)
    if running.process.returncode != 0:
        raise CrowdError(f"the load ended with status {running.process.returncode}")
    said = json.loads(output.splitlines()[-1])
    running.requests, running.answered = said["requests"], said["answered"]
    running.reopened, running.seconds = said["reopened"], said["seconds"]
    if running.answered != running.requests:
        raise CrowdError(f"{running.requests - running.answered} requests were not answered")
