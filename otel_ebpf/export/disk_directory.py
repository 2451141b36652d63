"""The directory of the queue on disk: one agent at a time uses it."""

from __future__ import annotations

import os
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Lock

from otel_ebpf.export.store import StoreError

__all__ = ["QueueDirectory"]


class QueueDirectory:
    """Claimed by an agent until it releases it or ends, however that is. Any thread."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None
        self._lock = Lock()

    def claim(self) -> None:
        """Make the directory, and keep other agents out of it. Raises StoreError."""
        with self._lock:
            if self._descriptor is None:
                try:
                    self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._descriptor = self._locked()
                except BlockingIOError as error:
                    raise StoreError("another agent uses it") from error
                except OSError as error:
                    raise StoreError(error.strerror or str(error)) from error

    def _locked(self) -> int:
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def release(self) -> None:
        """Let other agents in."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def delete(self, name: str) -> None:
        """Delete a store's file. Raises StoreError."""
        try:
            for part in ("", "-wal"):  # SQLite deletes a log whose file is not there
                (self.path / f"{name}{part}").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"it cannot be deleted: {error.strerror}") from error

    def set_aside(self, name: str, suffix: str) -> Path:
        """Rename a store's file; return its new path. One that was set aside before is replaced.

        Its log goes first: under the old name it would be taken for the new file's. Raises StoreError.
        """
        kept = self.path / f"{name}.{suffix}"
        try:
            for part in ("-wal", ""):
                old, new = self.path / f"{name}{part}", self.path / f"{kept.name}{part}"
                new.unlink(missing_ok=True)
                if old.exists():
                    old.rename(new)
        except OSError as error:
            raise StoreError(f"it cannot be renamed: {error.strerror}") from error
        return kept
