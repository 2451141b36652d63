"""Ports of the loopback interface."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

# Below what the kernel gives to connecting sockets (net.ipv4.ip_local_port_range), so that no client
# sits on a port between the moment it is handed out and the moment a server listens on it.
_FIRST, _BLOCKS, _SIZE = 10_000, 11, 2_000
_START = _FIRST + os.getpid() % _BLOCKS * _SIZE

POOL = range(_START, _START + _SIZE)
"""All ports that `free_port` gives in this run: what the shared agent observes, and no stranger uses."""


def _free_ports() -> Iterator[int]:
    for port in POOL:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_free = _free_ports()


def free_port() -> int:
    """Return a TCP port that nothing listens on, another one each time.

    Tests tell their spans apart by port, so no two of them may share one.
    """
    return next(_free)


def is_listening(port: int) -> bool:
    """Say whether a connection to the port would be accepted, without making one.

    A probing connection would reach the server as one without a request, and be in the books.
    """
    wanted = f"{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == "0A" and fields[1].endswith(":" + wanted):
                    return True
    return False
