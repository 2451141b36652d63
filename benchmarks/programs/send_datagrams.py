"""Sends so many datagrams of 100 bytes to itself, and reads them, for each line of standard input."""

from __future__ import annotations

import socket
import sys

receiver, sender = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
receiver.bind(("127.0.0.1", 0))
sender.connect(receiver.getsockname())
for line in sys.stdin:
    for _ in range(int(line)):
        sender.send(bytes(100))
        receiver.recv(200)
    print(flush=True)
