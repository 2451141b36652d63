"""A client that asks when it is told to, by lines on its standard input: URL MARK COUNT.

After each it prints its requests, all made over one connection, and an empty line. It loads TLS for the
first URL that wants it, and not before. Of any Python from 3.9 on, with nothing installed.
"""

from __future__ import annotations

import sys
import time
from urllib.parse import urlsplit

sys.modules["ssl"] = None  # type: ignore[assignment]  # or the next line loads the library

import http.client  # noqa: E402

import measured  # type: ignore[import-not-found]  # noqa: E402

del sys.modules["ssl"]


def connect(url: str) -> http.client.HTTPConnection:
    where = urlsplit(url)
    assert where.hostname
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.connect()
    if where.scheme == "https":
        import ssl  # noqa: PLC0415

        context = ssl.create_default_context()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=where.hostname)
    return connection


def ask(url: str, mark: str, count: int) -> None:
    connection = connect(url)
    for number in range(count):
        name = f"{mark}-{number}"
        began, start = time.monotonic_ns(), time.time_ns()
        connection.request("GET", f"{urlsplit(url).path}?n={name}")
        port = connection.sock.getsockname()[1]
        response = connection.getresponse()
        response.read()
        measured.report(name, start, time.monotonic_ns() - began, response.status, port)
    connection.close()


def main() -> None:
    for line in sys.stdin:
        url, mark, count = line.split()
        ask(url, mark, int(count))
        print(flush=True)


main()
