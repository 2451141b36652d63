"""A proxy that tunnels to wherever CONNECT says, and may be spoken to over TLS itself.

    connect_proxy.py PORT [CERTIFICATE KEY]

Whoever connects is let through, to loopback or elsewhere: it is for tests.
"""

from __future__ import annotations

import select
import socket
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rbufsize = 0  # what follows the head is the tunnel's
    disable_nagle_algorithm = True

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as server:
            self.send_response(200)
            self.end_headers()
            relay(self.connection, server)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def relay(client: socket.socket, server: socket.socket) -> None:
    """Pass on what comes from either, until one of them ends."""
    while True:
        decrypted = isinstance(client, ssl.SSLSocket) and client.pending()
        waiting = [client] if decrypted else select.select([client, server], [], [])[0]
        for one in waiting:
            piece = one.recv(65536)
            if not piece:
                return
            (server if one is client else client).sendall(piece)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    if len(sys.argv) > 2:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*sys.argv[2:4])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
