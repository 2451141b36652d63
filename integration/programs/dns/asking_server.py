"""A server that looks up a name for each request: GET /?host=NAME, each request in a thread of its own."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        (host,) = parse_qs(urlsplit(self.path).query)["host"]
        try:
            body = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)[0][4][0].encode()
        except OSError as error:
            body = str(error).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
