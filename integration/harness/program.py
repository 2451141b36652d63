"""Real programs, started and ended by their process ids."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from integration.harness.limits import DIES_WITH_US, PATIENCE, slack, wait_until
from integration.harness.ports import is_listening


class ProgramError(AssertionError):
    """A program did not start, or did not end well. The message holds the end of its log."""


class Program:
    """A server process on loopback: start it, wait until it listens, end it and its children.

    Its output goes to a file, and into the message of every error that is raised here.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        port: int = 0,
        unix_path: str = "",
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        start_seconds: float = PATIENCE,
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.command = [str(word) for word in command]
        self.port = port
        self._unix_path = unix_path
        self._environment = {**os.environ, **(environment or {})}
        self._directory = directory
        self._start_seconds = start_seconds
        self._stop_signal = stop_signal
        self._log = tempfile.NamedTemporaryFile(prefix="program-", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the program itself, not of its workers."""
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The program and all its descendants that live now."""
        return [self.pid, *(child.pid for child in _descendants(self.pid))]

    @property
    def log(self) -> str:
        """What it has written to its standard output and error."""
        return Path(self._log.name).read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether the program itself lives."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*DIES_WITH_US, *self.command],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd=self._directory,
            # Apache ends its whole process group when it is told to stop.
            start_new_session=True,
        )
        wait_until(lambda: self._is_up() or self._has_ended(), self._start_seconds)
        if self._has_ended() or not self._is_up():
            message = f"{self.command} did not start:\n{self.log[-4000:]}"
            self.stop()
            raise ProgramError(message)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is not None:
            value.add_note(f"--- log of {self.command[0]} ({self.pid}):\n{self.log[-2000:]}")
        self.stop()

    def stop(self) -> None:
        """End it with the stop signal, and with SIGKILL what is left after 3 s."""
        if self._process is None:
            return
        family = _descendants(self._process.pid)
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(slack(3))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # psutil checks the start time, so a pid that was given away since is left alone.
        _, alive = psutil.wait_procs(family, timeout=slack(1))
        for orphan in alive:
            try:
                orphan.kill()
            except psutil.NoSuchProcess:
                continue
        self._process = None
        self._log.close()

    def _is_up(self) -> bool:
        if self._unix_path and not Path(self._unix_path).is_socket():
            return False
        return not self.port or is_listening(self.port)

    def _has_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
