"""Log lines that a failing backend or a full queue would repeat thousands of times a second."""

from __future__ import annotations

from logging import Logger
from time import monotonic
from typing import Final

__all__ = ["Throttle"]

INTERVAL: Final = 30.0


class Throttle:
    """Logs at most one line in `interval` seconds, with the number that it stands for.

    The format's first argument is the number of items since the last line. One thread only.
    """

    __slots__ = ("_due", "_interval", "_level", "_logger", "_number")

    def __init__(self, logger: Logger, level: int, interval: float = INTERVAL) -> None:
        self._logger = logger
        self._level = level
        self._interval = interval
        self._due = 0.0
        self._number = 0

    def add(self, number: int, text: str, *arguments: object) -> None:
        """Count `number` items and log `text % (items since the last line, *arguments)` if it is time."""
        self._number += number
        now = monotonic()
        if now >= self._due:
            self._due = now + self._interval
            self._logger.log(self._level, text, self._number, *arguments, extra={"number": self._number})
            self._number = 0

    def flush(self, text: str, *arguments: object) -> None:
        """Log what has been counted and not been said."""
        if self._number:
            self._logger.log(self._level, text, self._number, *arguments, extra={"number": self._number})
            self._number = 0
