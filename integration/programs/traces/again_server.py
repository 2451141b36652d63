"""Has its clients ask twice: PORT.

/moved/... leads to /end/..., and the first try of each /lost/... is reset.
"""

from __future__ import annotations

import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RESET = struct.pack("ii", 1, 0)
tried: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/lost/") and self.path not in tried:
            tried.add(self.path)
            self.close_connection = True
            # A close by which TCP resets: SO_LINGER of no time.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        moved = self.path.startswith("/moved/")
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", self.path.replace("/moved/", "/end/"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
