"""A client process that makes requests when a test says so, before and after the agent has started."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from integration.harness.limits import DIES_WITH_US, PATIENCE, slack
from integration.harness.measured import Measured, parse


class Asking:
    """`command` is a program like programs/clients/asking_client.py; it is ended by its id."""

    service = "asking_client"
    """The `service.name` that its spans must carry."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._command = [*DIES_WITH_US, *map(str, command)]
        self._environment = {**os.environ, **environment}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=self._environment,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._input.close()  # it ends when it can be told nothing more
        try:
            self._process.wait(slack(PATIENCE))
        finally:
            self._process.kill()
            self._process.wait()
            self._output.close()
            self._errors.close()

    @property
    def pids(self) -> list[int]:
        """The program, and all its descendants that live now."""
        own = psutil.Process(self._process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    def ask(self, url: str, mark: str, count: int) -> list[Measured]:
        """Have it make `count` requests over one new connection; return what it measured."""
        self._input.write(f"{url} {mark} {count}\n")
        self._input.flush()
        lines = []
        while (line := self._output.readline()) != "\n":
            if not line:
                self._errors.seek(0)
                raise AssertionError(f"{self._command} has ended:\n{self._errors.read()}")
            lines.append(line)
        return parse(lines)
