"""One thread, many TLS sessions in memory, in the order that is the hardest to follow: as many_httpx.py.

All requests are encrypted before any is sent, all that has come is received before any of it is
decrypted, and each time in another order. Whoever takes the last socket for the session's is wrong.
"""

from __future__ import annotations

import random
import re
import select
import socket
import ssl
import sys
import time
import urllib.parse

import measured  # type: ignore[import-not-found]

mark, rounds, connections, *urls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
context = ssl.create_default_context()
HEAD = re.compile(rb"(?si)HTTP/1\.1 (\d+).*?\r\n\r\n")
SIZES = (1000, 1000, 1000, 20_000)


class Session:
    """A session and its socket, which only `flush` and `fill` bring together."""

    def __init__(self, url: str) -> None:
        self._where = urllib.parse.urlsplit(url)
        self.connection = socket.create_connection((self._where.hostname, self._where.port), timeout=60)
        self._into, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._into, self._out, server_hostname=self._where.hostname)
        self._name, self._began, self._start, self._size, self._received = "", 0, 0, 0, b""

    def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
            else:
                return self.flush()

    def encrypt(self, name: str) -> None:
        self._name, self._received, self._size = name, b"", random.choice(SIZES)
        self._began = time.monotonic_ns()
        self._start = time.time_ns()
        head = f"GET /bytes/{self._size}?n={name} HTTP/1.1\r\nHost: {self._where.netloc}\r\n\r\n"
        self._tls.write(head.encode())

    def flush(self) -> None:
        self.connection.sendall(self._out.read())

    def fill(self) -> None:
        received = self.connection.recv(65536)
        assert received, "the server left"
        self._into.write(received)

    def decrypt(self) -> bool:
        """Decrypt what has come; say whether that was the end of the response, and then report it."""
        try:
            while piece := self._tls.read(65536):
                self._received += piece
        except ssl.SSLWantReadError:
            pass
        head = HEAD.match(self._received)
        if not head or len(self._received) < head.end() + self._size:
            return False
        took, port = time.monotonic_ns() - self._began, self.connection.getsockname()[1]
        measured.report(self._name, self._start, took, int(head[1]), port)
        return True


def shuffled(sessions: list[Session]) -> list[Session]:
    return random.sample(sessions, len(sessions))


def main() -> None:
    sessions = [Session(urls[number % len(urls)]) for number in range(connections)]
    for session in sessions:
        session.handshake()
    for first in range(0, rounds * connections, connections):
        for number, session in shuffled_pairs(sessions):
            session.encrypt(f"{mark}-{first + number}")
        for session in shuffled(sessions):
            session.flush()
        waiting = list(sessions)
        while waiting:
            by_socket = {session.connection: session for session in waiting}
            time.sleep(0.005)  # so that several have something
            ready = [by_socket[one] for one in select.select(list(by_socket), [], [])[0]]
            for session in shuffled(ready):
                session.fill()
            for session in shuffled(ready):
                if session.decrypt():
                    waiting.remove(session)


def shuffled_pairs(sessions: list[Session]) -> list[tuple[int, Session]]:
    return random.sample(list(enumerate(sessions)), len(sessions))


main()
