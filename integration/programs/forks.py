"""A process with many children: forks.py PORT COUNT

Asks the server on PORT once, forks COUNT children, prints `forked`; when a line comes in on standard
input, each child asks the server once. The status is 0 if all were answered.
"""

from __future__ import annotations

import os
import socket
import sys


def ask(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"GET /json HTTP/1.1\r\nHost: forks\r\nConnection: close\r\n\r\n")
        return connection.recv(12) == b"HTTP/1.1 200"


def main() -> int:
    port, count = map(int, sys.argv[1:])
    assert ask(port)
    gate, leave, answers = os.pipe(), os.pipe(), os.pipe()
    for _ in range(count):
        if not os.fork():
            os.close(gate[1])
            os.close(leave[1])
            os.read(gate[0], 1)
            os.write(answers[1], b"y" if ask(port) else b"n")
            os.read(leave[0], 1)  # all of them live until the last has asked
            os._exit(0)
    print("forked", flush=True)
    sys.stdin.readline()
    os.close(gate[1])
    told = b""
    while len(told) < count:
        told += os.read(answers[0], count)
    return int(b"n" in told)


if __name__ == "__main__":
    sys.exit(main())
