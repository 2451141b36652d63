"""Ports of the loopback interface."""

from __future__ import annotations

import socket

_HANDED_OUT: set[int] = set()


def free_port() -> int:
    """Return a TCP port that nothing listens on and that was not returned before in this run.

    Tests tell their spans apart by port, so no two of them may share one.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _HANDED_OUT:
            _HANDED_OUT.add(port)
            return port


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
