"""A hop on Python's own server, a thread for each connection: PORT [ADDRESS]."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hops import walk


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        body = walk(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 256
    address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    if ":" in address:
        ThreadingHTTPServer.address_family = socket.AF_INET6
    ThreadingHTTPServer((address, int(sys.argv[1])), Handler).serve_forever()
