"""Two `odd_http.py` players, one at each end of a loopback connection."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

from integration.harness.build import PROGRAMS
from integration.harness.limits import PATIENCE, slack
from integration.harness.ports import free_port

Steps = Sequence[Sequence[Any]]

_PLAYER = [sys.executable, "-S", "-E", str(PROGRAMS / "odd_http.py")]


def step(name: str, *arguments: Any) -> list[Any]:
    """Return one step of a script (see the `do_` methods of odd_http.py)."""
    return [name, *arguments]


class Player:
    """One process of `odd_http.py`. `options` are the other keys of its script."""

    def __init__(self, mode: str, steps: Steps, options: Mapping[str, Any], port: int = 0) -> None:
        where = [str(port)] if mode == "call" else []
        self._script = tempfile.NamedTemporaryFile("w", prefix="script-")  # noqa: SIM115
        json.dump({**options, "steps": steps}, self._script)
        self._script.flush()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.waiting = 0
        self.process = subprocess.Popen(
            [*_PLAYER, mode, *where, self._script.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    @property
    def _output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def _line(self) -> dict[str, Any]:
        line = self._output.readline()
        if not line:
            self._errors.seek(0)
            raise AssertionError(f"a player died:\n{self._errors.read()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def port(self) -> int:
        """Wait until a server listens; return its port."""
        return int(self._line()["port"])

    def wait_waiting(self, count: int = 1) -> None:
        """Wait until so many of its connections have come to a `wait`."""
        while self.waiting < count:
            assert "waiting" in self._line()
            self.waiting += 1

    def release(self) -> None:
        """Let it go on from its waits."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for its end; return {"took": ..., "failures": [...]}; fail if a step failed."""
        try:
            rest, _ = self.process.communicate(timeout=slack(seconds))
            self._errors.seek(0)
            errors = self._errors.read()
        finally:
            self.end()
        assert rest.strip(), f"a player died with status {self.process.returncode}:\n{errors}"
        outcome: dict[str, Any] = json.loads(rest.splitlines()[-1])
        assert not outcome["failures"], f"a step failed: {outcome['failures']}\n{errors}"
        return outcome

    def end(self) -> None:
        """Kill it if it still runs, and close the pipes."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._errors.close()
        self._script.close()


class Conversation:
    """A server player and a client player that has connected to it; ended together.

    `server_options` and `client_options` are further keys of the scripts: connections, repeat,
    local_port, port.
    """

    def __init__(
        self,
        client: Steps,
        server: Steps,
        *,
        client_options: Mapping[str, Any] | None = None,
        server_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.server = Player("serve", server, {"port": free_port(), **(server_options or {})})
        try:
            self.port = self.server.port()
            self.client = Player("call", client, client_options or {}, self.port)
        except BaseException:
            self.server.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.end()
        self.server.end()

    def finish(self, seconds: float = PATIENCE) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait for both ends; return the client's and the server's result."""
        return self.client.result(seconds), self.server.result(seconds)


def converse(client: Steps, server: Steps, **options: Any) -> int:
    """Play a conversation to its end; return the server's port."""
    with Conversation(client, server, **options) as conversation:
        conversation.finish()
        return conversation.port
