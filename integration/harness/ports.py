"""Ports of the loopback interface."""

from __future__ import annotations

import itertools
import os
import socket

# Below what the kernel gives to connecting sockets (net.ipv4.ip_local_port_range), so that no client
# sits on a port between the moment it is handed out and the moment a server listens on it.
_FIRST, _LAST = 10_000, 32_000
_candidates = itertools.chain.from_iterable(
    itertools.repeat(range(_FIRST + os.getpid() * 97 % 20_000, _LAST), 1_000)
)


def free_port() -> int:
    """Return a TCP port that nothing listens on, another one each time.

    Tests tell their spans apart by port, so no two of them may share one.
    """
    for port in _candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


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
