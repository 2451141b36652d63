"""What a player of odd_http.py does with TLS: each function takes its socket and returns another."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def serve(connection: socket.socket, certificate: str, key: str) -> ssl.SSLSocket:
    """Be the server; the handshake is left to the first receive."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def call(connection: socket.socket, authority: str, name: str = "127.0.0.1") -> ssl.SSLSocket:
    """Be the client; the handshake is done when this returns."""
    context = ssl.create_default_context(cafile=authority)
    return context.wrap_socket(connection, server_hostname=name)


def goodbye(connection: ssl.SSLSocket) -> socket.socket:
    """Say that the session ends (close_notify), and wait for the peer to say it too."""
    return connection.unwrap()


def without_blocking(connection: ssl.SSLSocket) -> WithoutBlocking:
    """Never block in the library, as event loops do."""
    return WithoutBlocking(connection)


class WithoutBlocking:
    """Asks the library first and waits afterwards: every receive fails once with SSL_ERROR_WANT_READ."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self._connection.setblocking(False)
        self.close = connection.close

    def recv(self, size: int) -> bytes:
        return self._repeat(lambda: self._connection.recv(size))

    def send(self, data: bytes | memoryview) -> int:
        return self._repeat(lambda: self._connection.send(data))

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def _repeat(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                select.select([self._connection], [], [])
            except ssl.SSLWantWriteError:
                select.select([], [self._connection], [])
