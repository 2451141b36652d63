"""A program that does with sockets what a test tells it (integration/programs/network/puppet.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from integration.harness.build import PROGRAMS
from integration.harness.limits import DIES_WITH_US, PATIENCE, slack
from integration.harness.measured import new_mark

OBSERVED = {"discovery": {"include": [{"command_line": "*puppet.py*"}]}}
"""A configuration that observes puppets, and no stranger on this host."""


class Puppet:
    """Started within a network namespace, by the words that run a command there; ended with the block."""

    def __init__(self, within: Sequence[str] = (), name: str = "puppet.py") -> None:
        self.service = f"puppet-{new_mark()}"
        command = [*within, *DIES_WITH_US, sys.executable, str(PROGRAMS / "network" / name)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OTEL_SERVICE_NAME": self.service},
            text=True,
        )

    @property
    def pid(self) -> int:
        """The process's id: `ip netns exec` and `setpriv` become what they run."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(slack(PATIENCE))
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def begin(self, name: str, *arguments: object) -> None:
        """Tell it to do something, and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()

    def finish(self) -> Any:
        """Return the answer to what it was told."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the puppet has ended"
        return json.loads(line)

    def do(self, name: str, *arguments: object) -> Any:
        """Tell it to do something, and return its answer."""
        self.begin(name, *arguments)
        return self.finish()
