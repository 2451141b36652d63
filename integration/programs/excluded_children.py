"""A client whose children each make one request: `excluded_children.py PORT CHILDREN`.

It makes one itself, and waits until that has been decided on: its children inherit the decision.
"""

from __future__ import annotations

import os
import socket
import sys
import time

REQUEST = b"GET /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
DECIDED_SECONDS = 0.5


def ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(REQUEST)
        while connection.recv(65536):
            pass


def main(port: int, children: int) -> None:
    ask(port)
    time.sleep(DECIDED_SECONDS)
    for _ in range(children):
        child = os.fork()
        if not child:
            ask(port)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
