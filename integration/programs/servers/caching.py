"""An HTTP server that asks a cache, over one connection for each request, by memcached's text protocol.

python caching.py PORT PORT-OF-THE-CACHE
"""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as cache:
            cache.sendall(b"get cart\r\n")
            found = cache.recv(4096)
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
