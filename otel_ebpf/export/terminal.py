"""Lines to a terminal or a pipe, written by a thread of their own.

A terminal that is stopped (Ctrl-S) or a pager that is not read blocks whoever writes to it: that
must not be the thread that reads the ring buffer. A closed pipe ends the lines, not the agent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TextIO

__all__ = ["Terminal", "fit", "printable"]

MAXIMUM_WAITING: Final = 1000
PLAIN: Final = "\x1b[0m"


def printable(text: str) -> str:
    """Return `text` without what a terminal would obey: its control characters may come from traffic."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def fit(text: str, width: int) -> str:
    """Return `text` in exactly `width` characters, shortened or filled up."""
    text = printable(text)
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


class Terminal:
    """Writes lines to `stream`, standard output unless given."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._broken = False
        self._idle: Callable[[], str] = str
        self._thread = Thread(target=self._run, name="console", daemon=True)

    @property
    def colour(self) -> bool:
        """Whether to colour: on a terminal that is not dumb, unless NO_COLOR is set (no-color.org)."""
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return self._stream.isatty()

    def can_write(self, text: str) -> bool:
        """Tell whether the stream's encoding has the characters of `text`."""
        try:
            text.encode(self._stream.encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def start(self, idle: Callable[[], str]) -> None:
        """Start the thread. `idle` gives a line to write, or "", when there was none for a second."""
        self._idle = idle
        self._thread.start()

    def write(self, line: str) -> bool:
        """Queue a line; False when too many wait. Never blocks."""
        if self._broken or self._lines.qsize() >= MAXIMUM_WAITING:
            return False
        self._lines.put(line)
        return True

    def close(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds."""
        self._lines.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                line = self._lines.get(timeout=1.0)
            except Empty:
                if text := self._idle():
                    self._write(text)
                continue
            if line is None:
                return
            self._write(line)

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except UnicodeEncodeError:
            self._write(text.encode("ascii", "replace").decode())
        except (OSError, ValueError):  # a closed pipe, a closed stream
            self._broken = True
            self._silence()

    def _silence(self) -> None:
        """Lead standard output to nowhere: the interpreter would fail on it again at its exit."""
        if self._stream is sys.stdout:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, sys.stdout.fileno())
            os.close(nothing)
