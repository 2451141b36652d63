"""A hop that asks in threads which it starts while it serves: HOW PORT.

HOW: `each` request is made by a thread of its own, which is waited for; `nested`: by one that such a thread
starts; `pool`: by a few threads that all requests share, started when they are needed; `late`: by threads
that go on after the answer; `mixed`: every third by a thread of its own, the others by the pool; `turned`:
the first by threads of their own, the others by the pool.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hops import walk

Asks = list[Callable[[], object]]

pool = ThreadPoolExecutor(8)
numbers = itertools.count()


def each(asks: Asks) -> None:
    """A thread for each, all at once."""
    threads = [threading.Thread(target=ask) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def nested(asks: Asks) -> None:
    """A thread that starts the others."""
    each([lambda: each(asks)])


def pooled(asks: Asks) -> None:
    """By threads that serve others too."""
    for future in [pool.submit(ask) for ask in asks]:
        future.result()


def mixed(asks: Asks) -> None:
    """Both kinds."""
    (each if next(numbers) % 3 == 0 else pooled)(asks)


def turned(asks: Asks) -> None:
    """By a pool that is made late."""
    (each if next(numbers) < 20 else pooled)(asks)


WAYS: dict[str, Callable[[Asks], None]] = {
    "each": each,
    "nested": nested,
    "pool": pooled,
    "mixed": mixed,
    "turned": turned,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        answered, path = threading.Event(), self.path
        if sys.argv[1] == "late":
            threading.Thread(target=lambda: (answered.wait(), walk(path))).start()
        else:
            walk(path, WAYS[sys.argv[1]])
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"end\n")
        answered.set()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 256
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
