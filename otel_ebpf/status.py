"""The status socket: a running agent says, as JSON, where it stands and what it has counted.

Read-only, for root only (the directory and the socket are made so), one answer for a connection.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, Final

from otel_ebpf import __version__
from otel_ebpf.health import Health
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.kernel.messages import Standing

__all__ = ["StatusServer", "ask", "describe"]

logger = logging.getLogger(__name__)

_TIMEOUT: Final = 2.0
_ANSWER_MAX: Final = 1 << 20


def describe(standings: Sequence[Standing]) -> dict[str, Any]:
    """Return the capabilities as `doctor` and the status socket show them."""
    return {
        standing.capability: {
            "rung": standing.rung or None,
            "cost": standing.cost,
            "load_seconds": round(standing.load_seconds, 3),
            "refused": [{"rung": one.rung, "reason": one.reason} for one in standing.refusals],
        }
        for standing in standings
    }


class StatusServer:
    """Answers on a unix socket, in a thread of its own. An agent without it works as well."""

    def __init__(
        self,
        path: str,
        standings: Sequence[Standing],
        totals: Callable[[], Sequence[int]],
        probing: Callable[[], Mapping[str, Any]],
        health: Health,
    ) -> None:
        self._path = Path(path)
        self._standings = standings
        self._totals = totals
        self._probing = probing
        self._health = health
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Listen. What stands in the way is a warning, not an error: another agent may run."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if self._path.is_socket() and ask(str(self._path)) is None:
                self._path.unlink()  # left behind by an agent that was killed
            listening.bind(str(self._path))
            self._path.chmod(0o600)
            listening.listen(8)
        except OSError as error:
            logger.warning(
                "no status socket at %s: %s; stop the other agent, or set telemetry.status_socket to another",
                *(self._path, error),
                extra={"path": str(self._path), "reason": str(error)},
            )
            listening.close()
            return
        self._socket = listening
        Thread(target=self._serve, args=(listening,), name="status", daemon=True).start()

    def stop(self) -> None:
        """Stop answering and remove the socket."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # stopped
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_TIMEOUT)
                try:
                    answer = json.dumps(self._answer()).encode()
                except KernelError as error:
                    logger.warning("the status could not be told: %s; ask again", error)
                    continue
                connection.sendall(answer)

    def _answer(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "health": {
                "alive": self._health.is_alive()._asdict(),
                "ready": self._health.is_ready()._asdict(),
            },
            "capabilities": describe(self._standings),
            **self._probing(),
            "ledger": {Entry(number).name.lower(): total for number, total in enumerate(self._totals())},
        }


def ask(path: str) -> dict[str, Any] | None:
    """Return what the agent that listens at `path` says; None where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(path)
            answer = bytearray()
            while len(answer) < _ANSWER_MAX and (piece := connection.recv(65536)):
                answer += piece
            told = json.loads(bytes(answer))
        except (OSError, ValueError):
            return None
    return told if isinstance(told, dict) else None
