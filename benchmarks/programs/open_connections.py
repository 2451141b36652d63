"""Opens connections to itself, to so many addresses of the loopback network, and keeps them: COUNT PEERS.

Waits for a line of input, opens, says how many sockets it has, waits for another line, and ends.
"""

from __future__ import annotations

import socket
import sys


def main() -> None:
    count, peers = int(sys.argv[1]), int(sys.argv[2])
    server = socket.create_server(("0.0.0.0", 0), backlog=1024)
    port, kept = server.getsockname()[1], []
    sys.stdin.readline()
    for number in range(count):
        peer = number % peers
        kept.append(socket.create_connection((f"127.2.{peer >> 8}.{peer & 255}", port)))
        kept.append(server.accept()[0])
    print(len(kept), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
