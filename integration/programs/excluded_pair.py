"""Two processes in turns whose ids share a slot of the map of excluded ones: excluded_pair.py ROUNDS.

A turn is one byte over a connection of its own to itself: one send and one receive. The two are a
process and its child. Before they begin they wait until the process has been decided on, which its
child inherits.
"""

from __future__ import annotations

import os
import socket
import sys
import time

DECIDED_SECONDS = 0.5
SLOTS = 1024  # EXCLUDED_SLOTS of bpf/core/process.h


def send_a_byte(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
        client.send(b".")
        accepted.recv(1)


def fork_to_the_same_slot() -> bool:
    """Fork until a child has the slot of this process; say whether this is that child."""
    parent = os.getpid()
    for _ in range(8 * SLOTS):
        child = os.fork()
        if not child:
            if os.getpid() % SLOTS == parent % SLOTS:
                return True
            os._exit(0)
        if child % SLOTS == parent % SLOTS:
            return False
        os.waitpid(child, 0)
    sys.exit("no child has the slot of its parent")


def main(rounds: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        send_a_byte(server)
        time.sleep(DECIDED_SECONDS)
    turns = os.pipe(), os.pipe()
    child = fork_to_the_same_slot()
    mine, other = turns if child else turns[::-1]
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(rounds):
            if child:
                os.read(mine[0], 1)
            send_a_byte(server)
            os.write(other[1], b".")
            if not child:
                os.read(mine[0], 1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
