"""Asks from outside by connections whose SYN carries the request: ADDRESS:PORT HOPS MARK REQUESTS."""

from __future__ import annotations

import http.client
import socket
import sys


def visit(host: str, port: int, target: str) -> None:
    """Make one request."""
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    with socket.socket() as connection:
        connection.sendto(head, socket.MSG_FASTOPEN, (host, port))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{target} was answered with {answer.status}")


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    hops, mark, requests = sys.argv[2], sys.argv[3], int(sys.argv[4])
    for number in range(requests):
        visit(host, int(port), f"/walk/{number}/{hops}?n={mark}")


if __name__ == "__main__":
    main()
