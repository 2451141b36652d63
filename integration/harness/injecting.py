"""A client that is told what to ask, and a server that tells what it has received."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from integration.harness.build import PROGRAMS
from integration.harness.certificates import certificates
from integration.harness.limits import wait_until
from integration.harness.ports import free_port
from integration.harness.program import Program

_FOLDER = PROGRAMS / "inject"
_TRACEPARENT = re.compile(r"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")

FIT = os.environ.get(
    "OTEL_EBPF_TEST_INJECTS", str(int(os.environ.get("OTEL_EBPF_GUEST", "") in ("5.10", "6.1")))
)
"""Whether this kernel's maps of sockets are free of the faults that are looked for: "1" or "0". By what was
found, and not by the agent's own looking, which is what the tests are of."""


def echo_server(*, tls: bool = False) -> Program:
    """Return a server that can be started; its port is its `port`."""
    port, files = free_port(), []
    if tls:
        files = [certificates().certificate, certificates().key]
    return Program([sys.executable, _FOLDER / "echo.py", str(port), *map(str, files)], port=port)


def traceparents(lines: Sequence[str]) -> list[str]:
    """Return the values of that field in a head, however it is written."""
    fields = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in fields if name.lower() == "traceparent"]


class Asker:
    """A process of `asker.py`; its commands are methods. Connections have names."""

    def __init__(self) -> None:
        command = [sys.executable, str(_FOLDER / "asker.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _do(self, *command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def connect(self, name: str, port: int, *, tls: bool = False) -> None:
        """Connect by a socket that does not block."""
        self._do("connect", name, port, str(certificates().authority) if tls else None)

    def block(self, name: str, port: int) -> None:
        """Have the connection's socket block, after connecting where that was not done."""
        self._do("block", name, port)

    def zerocopy(self, name: str) -> None:
        """Have the kernel tell of buffers that it has not copied."""
        self._do("zerocopy", name)

    def ask(
        self,
        name: str,
        path: str,
        *,
        fields: dict[str, str] | None = None,
        size: int = 0,
        how: str = "",
    ) -> list[str]:
        """Ask, see that the body arrived as it was sent, and return the lines of the head that arrived."""
        told = self._do("ask", name, "POST" if size else "GET", path, fields or {}, size, how)
        assert told["intact"], (path, told["length"], size)
        assert told["length"] == size
        lines: list[str] = told["lines"]
        return lines

    def send(self, name: str, text: str) -> None:
        self._do("send", name, text)

    def read(self, name: str, size: int) -> str:
        return str(self._do("read", name, size))

    def answer(self, name: str) -> tuple[list[str], str]:
        """Return the lines of the head that an answer tells of, and the digest of the body."""
        (told,) = self._do("answers", name, 1)
        return told["lines"], told["digest"]

    def answers(self, name: str, number: int) -> list[list[str]]:
        """Return the lines of the heads that so many answers in a row tell of."""
        return [told["lines"] for told in self._do("answers", name, number)]

    def close(self, name: str) -> None:
        self._do("close", name)

    def wait_selected(self, port: int) -> None:
        """Make new connections until the agent has looked at this process."""

        def written() -> bool:
            self.connect("first", port)
            found = traceparents(self.ask("first", "/selected"))
            self.close("first")
            return bool(found)

        assert wait_until(written, every=0.2), "nothing is ever written into a request"


def ids(lines: Sequence[str]) -> tuple[str, str]:
    """Return trace id and span id of the one traceparent that is there, as the agent writes it."""
    found = [match for line in lines if (match := _TRACEPARENT.fullmatch(line))]
    assert len(found) == len(traceparents(lines)) == 1, lines
    return found[0][1], found[0][2]
