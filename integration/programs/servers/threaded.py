"""Python's own HTTP/1.1 server, a thread for each connection.

    threaded.py PORT [CERTIFICATE KEY]

Paths that all application servers here know: /json, /chunked, /slow (50 ms), /big (1 MiB),
/status/NNN, and POST /echo, which answers with the body's length. Some know /bytes/N too: so many
bytes, and the port that the server saw at the other end in the field `Peer-Port`.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BIG = b"x" * (1 << 20)
ALLOW_CLIENT_RENEGOTIATION = 0x100  # what OpenSSL 1.1 allowed, and 3 only when asked; Python has no name


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or head and body would be 40 ms apart

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/chunked":
            self._chunked([b"one", b"two", b"three"])
        elif path == "/big":
            self._whole(200, BIG)
        elif path.startswith("/bytes/"):
            self._whole(200, b"x" * int(path.rpartition("/")[2]))
        elif path.startswith("/status/"):
            self._whole(int(path.rpartition("/")[2]), b"as asked")
        else:
            if path == "/slow":
                time.sleep(0.05)
            self._whole(200, json.dumps({"path": path}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._whole(200, str(len(body)).encode())

    def _whole(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Peer-Port", str(self.client_address[1]))
        self.end_headers()
        self.wfile.write(body)

    def _chunked(self, parts: list[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in [*parts, b""]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line for each request is a cost of its own."""


def main() -> None:
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    if len(sys.argv) > 2:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*sys.argv[2:4])
        context.options |= ALLOW_CLIENT_RENEGOTIATION
        # The handshake is the accepting thread's; what follows is a thread of the connection's own.
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
