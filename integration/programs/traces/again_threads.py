"""Asks again_server.py what it is asked, /PORT/REST, in threads: follows redirects, and tries twice. PORT."""

from __future__ import annotations

import sys
from http.client import RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen


def ask(url: str) -> None:
    """Ask, and once more where the connection was lost."""
    for last in (False, True):
        try:
            with urlopen(url, timeout=30) as answer:
                answer.read()
        except (RemoteDisconnected, ConnectionError, URLError):
            if last:
                raise
        else:
            return


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, port, rest = self.path.split("/", 2)
        ask(f"http://127.0.0.1:{port}/{rest}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
