"""Tells at once when files lose their names: inotify(7), by ctypes."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from threading import Thread
from typing import Final

__all__ = ["Names"]

logger = logging.getLogger(__name__)

_CLOEXEC: Final = os.O_CLOEXEC  # IN_CLOEXEC
_LOST: Final = 0x4 | 0x400 | 0x800  # IN_ATTRIB (of links too), IN_DELETE_SELF, IN_MOVE_SELF
_EVENTS: Final = 4096


class Names:
    """Watches files, and calls back, from a thread of its own, when one may have lost its name."""

    def __init__(self, lost: Callable[[], object]) -> None:
        self._lost = lost
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1

    def watch(self, path: str) -> bool:
        """Watch the file of a path; the first starts the thread. False where that cannot be."""
        if self._fd < 0:
            self._fd = self._libc.inotify_init1(_CLOEXEC)
            if self._fd < 0:
                return False
            Thread(target=self._run, name="file-names", daemon=True).start()
        return bool(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _LOST) >= 0)

    def _run(self) -> None:
        while os.read(self._fd, _EVENTS):
            try:
                self._lost()
            except Exception:
                logger.exception("a file's loss of its name was not handled: please report this line")
