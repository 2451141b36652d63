"""HTTP over a unix socket. On its own because http.client takes 2 MB, and most hosts have no such socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse

from otel_ebpf.identity.watching import SourceError

__all__ = ["asked"]

TIMEOUT_SECONDS = 10.0


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


@contextmanager
def asked(path: str, target: str, *, patient: bool = False) -> Iterator[HTTPResponse]:
    """Ask for `target` by the socket at `path`, and yield the answer; a `patient` one may take any time.

    Raises OSError, HTTPException and `SourceError`.
    """
    connection = _UnixConnection(path)
    try:
        connection.request("GET", target, headers={"Host": "localhost"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SourceError(f"HTTP status {answer.status}")
        if patient and connection.sock is not None:
            connection.sock.settimeout(None)
        yield answer
    finally:
        connection.close()
