"""Answers each request with what it has received of it, as JSON: PORT [CERTIFICATE KEY].

The answer has the head's lines as they came, and the body's length and digest. A request with `Upgrade` gets
101, and from then on its bytes back.
"""

from __future__ import annotations

import hashlib
import json
import socketserver
import ssl
import sys


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        while lines := self.read_head():
            fields = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            if "upgrade" in fields:
                self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n")
                while data := self.connection.recv(65536):
                    self.wfile.write(data)
                return
            body = self.read_body(fields)
            told = {"lines": lines, "length": len(body), "digest": hashlib.sha256(body).hexdigest()}
            answer = json.dumps(told).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
            self.wfile.write(head % len(answer) + answer)
            if fields.get("connection") == "close":
                return

    def read_head(self) -> list[str]:
        lines = []
        while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            lines.append(line)
        return lines

    def read_body(self, fields: dict[str, str]) -> bytes:
        if "transfer-encoding" not in fields:
            return self.rfile.read(int(fields.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.context = context
        super().__init__(("127.0.0.1", port), Handler)

    def finish_request(self, request: object, client_address: object) -> None:
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
        super().finish_request(request, client_address)  # type: ignore[arg-type]


if __name__ == "__main__":
    encrypted = None
    if len(sys.argv) > 2:
        encrypted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        encrypted.load_cert_chain(sys.argv[2], sys.argv[3])
    Server(int(sys.argv[1]), encrypted).serve_forever()
