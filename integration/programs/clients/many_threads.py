"""Many threads that share one library, a kept connection each, all asking at once: as many_httpx.py."""

from __future__ import annotations

import http.client
import random
import ssl
import sys
import threading
import time
import urllib.parse

import measured  # type: ignore[import-not-found]

mark, rounds, connections, *urls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
context = ssl.create_default_context()
together = threading.Barrier(connections)
printing = threading.Lock()


def ask(connection: http.client.HTTPSConnection, name: str) -> None:
    size = random.randrange(50_000)
    began = time.monotonic_ns()
    start = time.time_ns()
    connection.request("GET", f"/bytes/{size}?n={name}")
    response = connection.getresponse()
    body = response.read()
    took = time.monotonic_ns() - began
    assert len(body) == size
    ports = connection.sock.getsockname()[1], int(response.headers["Peer-Port"])
    with printing:
        measured.report(name, start, took, response.status, *ports)


def play(number: int) -> None:
    where = urllib.parse.urlsplit(urls[number % len(urls)])
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, timeout=60, context=context)
    connection.connect()
    for turn in range(rounds):
        together.wait(60)
        ask(connection, f"{mark}-{turn * connections + number}")
    connection.close()


threads = [threading.Thread(target=play, args=(number,)) for number in range(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
