"""Processes that encrypt with something that cannot be read, each with the reason and what to do about it.

What is told is for people who miss their TLS: `doctor` and the status socket show it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = [
    "DISABLED",
    "JAVA",
    "NOT_TOLD",
    "NO_SYMBOLS",
    "UNREADABLE",
    "Obstacle",
    "Unread",
    "broken",
    "excluded",
    "not_attached",
    "not_chosen",
    "obstacle_of",
]

_PROCESSES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why plaintext cannot be read: a word for machines, a sentence for people, and what to do."""

    reason: str
    text: str
    advice: str


DISABLED: Final = Obstacle(
    "disabled", "TLS is switched off by tls.enabled", "set tls.enabled to true and restart the agent"
)
JAVA: Final = Obstacle(
    "java",
    "Java's own TLS (JSSE) is compiled while the program runs",
    "out of reach without writing into the program; for its requests use OpenTelemetry's Java agent",
)
NO_SYMBOLS: Final = Obstacle(
    "no_symbols",
    "no known TLS library with symbols is in its files: rustls, or a library linked statically and stripped",
    "keep the symbols (do not strip), or link the TLS library as a shared one; rustls is out of reach",
)
UNREADABLE: Final = Obstacle(
    "unreadable", "its mapped files cannot be listed", "run the agent as root, or grant it CAP_SYS_PTRACE"
)
NOT_TOLD: Final = (NO_SYMBOLS, UNREADABLE)
"""What only a handshake makes an obstacle: it is so of every program that does not use TLS at all."""


def excluded(name: str, pattern: str) -> Obstacle:
    """Return the obstacle of a file that the configuration excludes."""
    text = f"{name} gets no probes: the pattern {pattern} in tls.exclude"
    return Obstacle("excluded", text, "take the pattern out of tls.exclude and restart the agent")


def not_chosen(name: str, libraries: Sequence[str]) -> Obstacle:
    """Return the obstacle of a file whose libraries `tls.libraries` does not name."""
    names = ", ".join(libraries)
    text = f"{names} in {name} is not one of tls.libraries"
    return Obstacle("library_off", text, f"add {names} to tls.libraries and restart the agent")


def broken(name: str, error: Exception) -> Obstacle:
    """Return the obstacle of a file that cannot be understood."""
    return Obstacle("broken", f"{name} cannot be looked into: {error}", "see docs/tls.md for what can be")


def not_attached(name: str, error: Exception) -> Obstacle:
    """Return the obstacle of a file whose probes the kernel refused."""
    text = f"probes in {name} could not be attached: {error}"
    return Obstacle("not_attached", text, "see what doctor says of the capability tls_library")


def obstacle_of(obstacles: Sequence[Obstacle], java: bool, files: int) -> Obstacle:
    """Return the obstacle of a process without probes, by those of its `files` and whether it is Java.

    What the user can change comes first.
    """
    ours = [one for one in obstacles if one.reason != "broken"]
    if ours:
        return ours[0]
    if java:
        return JAVA
    if obstacles:
        return obstacles[0]
    return NO_SYMBOLS if files else UNREADABLE


class Unread:
    """Which processes these are; bounded, each until it is gone. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._processes: dict[int, Obstacle] = {}
        self._left_out: set[int] = set()

    def __contains__(self, pid: object) -> bool:
        return pid in self._processes

    def put(self, pid: int, obstacle: Obstacle) -> None:
        """Tell of a process; where there is no more room, count it."""
        if pid in self._processes or len(self._processes) < _PROCESSES_MAX:
            self._processes[pid] = obstacle
        elif len(self._left_out) < 64 * _PROCESSES_MAX:
            self._left_out.add(pid)

    def forget(self, pid: int) -> None:
        """Say no more of a process: it can be read, or is another program now."""
        self._processes.pop(pid, None)
        self._left_out.discard(pid)

    def sweep(self) -> None:
        """Forget those that are gone."""
        for pid in (*self._processes, *self._left_out):
            if not os.path.exists(f"/proc/{pid}"):
                self.forget(pid)

    def standing(self) -> list[dict[str, Any]]:
        """Return those that are there, as JSON has them."""
        return [
            {
                "pid": pid,
                "command": command,
                "reason": obstacle.reason,
                "text": obstacle.text,
                "advice": obstacle.advice,
            }
            for pid, obstacle in sorted(self._processes.copy().items())
            if (command := _command(pid)) is not None
        ]

    @property
    def left_out(self) -> int:
        """Processes that `standing` has no room for."""
        return len(self._left_out)


def _command(pid: int) -> str | None:
    """Return the name of a process, None if it is gone."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/comm").read_bytes()).rstrip("\n")
    except OSError:
        return None
