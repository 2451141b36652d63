"""Asks from outside: [ADDRESS:]PORT HOPS MARK REQUESTS AT_ONCE [BODY [AUTHORITY [PAUSE]]].

So many threads keep a connection each. BODY is the length of what is posted, AUTHORITY a file with the
certificate of whom to trust, where the port speaks TLS. PAUSE is how many seconds pass within each head.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def visit(connection: http.client.HTTPConnection, hops: str, mark: str, body: int, numbers: range) -> None:
    """Make requests over one connection, one for each number."""
    for number in numbers:
        connection.request("POST" if body else "GET", f"/walk/{number}/{hops}?n={mark}", b"x" * body or None)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"request {number} was answered with {answer.status}")


class Hesitant(http.client.HTTPConnection):
    """Sends the first bytes of each head long before the rest."""

    pause = 0.0

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().send(data[:9])
        time.sleep(self.pause)
        super().send(data[9:])


def connect(place: str, authority: str, pause: float) -> http.client.HTTPConnection:
    """Return a connection that is yet to be made."""
    host, _, port = place.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if pause:
        hesitant = Hesitant(host, int(port))
        hesitant.pause = pause
        return hesitant
    if not authority:
        return http.client.HTTPConnection(host, int(port))
    context = ssl.create_default_context(cafile=authority)
    return http.client.HTTPSConnection(host, int(port), context=context)


def main() -> None:
    place, hops, mark, requests, at_once = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    body = int(sys.argv[6]) if len(sys.argv) > 6 else 0
    authority = sys.argv[7] if len(sys.argv) > 7 else ""
    pause = float(sys.argv[8]) if len(sys.argv) > 8 else 0.0
    with ThreadPoolExecutor(at_once) as pool:
        numbers = [range(start, requests, at_once) for start in range(at_once)]
        made = [
            pool.submit(visit, connect(place, authority, pause), hops, mark, body, some) for some in numbers
        ]
        for one in made:
            one.result()


if __name__ == "__main__":
    main()
