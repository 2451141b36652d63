"""A stand-in for the API server, for what a real one does not do on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Api:
    """An API server whose answers a test gives: `lists` one after the other, then `watches`; or none."""

    def __init__(self) -> None:
        self.lists: list[tuple[int, Any]] = []
        self.watches: list[tuple[int, list[Any]]] = []
        self.owners: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.held = Event()
        self.holds = False  # every answer, for as long as the test runs
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                if api.holds:
                    api.held.wait()
                    return
                api.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        where = urlsplit(to.path)
        query = parse_qs(where.query)
        lines: list[Any]
        if where.path in self.owners:
            status, body = self.owners[where.path]
            lines = [body]
        elif "watch" not in query:
            status, body = self.lists.pop(0) if self.lists else (500, {})
            lines = [body]
        elif self.watches:
            status, lines = self.watches.pop(0)
        else:  # nothing happens any more
            status, lines = 200, [self.held]
        to.send_response(status)
        to.end_headers()
        for line in lines:
            if isinstance(line, Event):
                to.wfile.flush()
                line.wait()
            else:
                to.wfile.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")


@contextmanager
def stand_in() -> Iterator[Api]:
    """Run one."""
    made = Api()
    yield made
    made.held.set()
    made.server.shutdown()
    made.server.server_close()
