"""Asks itself over and over, each time by a new connection: COUNT. Prints the port."""

from __future__ import annotations

import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

with socket.create_server(("127.0.0.1", 0)) as server:
    for number in range(int(sys.argv[1])):
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
            client.sendall(f"GET /{number} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
            accepted.recv(4096)
            accepted.sendall(ANSWER)
            client.recv(4096)
    print(server.getsockname()[1])
