"""What the services of the trace tests do: each asks the next ones, as the path says.

    /walk/NUMBER/HOP/HOP/...?n=MARK

A hop is a port, or several with a plus between them, which are asked one after the other. NUMBER and the
query go along, so that every request tells whose it is. Connections are kept, one to each port for each
thread; a hop that ends in `c` is asked by a connection of its own, one that ends in `s` by IPv6 (six).
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from functools import partial

_kept = threading.local()


def walk(target: str, how: Callable[[list[Callable[[], object]]], object] | None = None) -> bytes:
    """Ask the ports of the first hop of `target`; `how` is called with what does so, and has it all done."""
    path, _, query = target.partition("?")
    _, name, number, *hops = path.split("/")
    if name != "walk" or not hops:
        return b"end\n"
    rest = "/".join(["", name, number, *hops[1:]]) + "?" + query
    asks = [partial(_ask, hop, rest) for hop in hops[0].split("+")]
    if how:
        how(asks)
    else:
        for ask in asks:
            ask()
    return b"end\n"


def _ask(hop: str, target: str) -> bytes:
    port = int(hop.rstrip("cs"))
    host = "::1" if "s" in hop else "127.0.0.1"
    if "c" in hop:
        connection = http.client.HTTPConnection(host, port)
        try:
            return _get(connection, target)
        finally:
            connection.close()
    connections: dict[int, http.client.HTTPConnection] = _kept.__dict__.setdefault("connections", {})
    if port not in connections:
        connections[port] = http.client.HTTPConnection(host, port)
    return _get(connections[port], target)


def _get(connection: http.client.HTTPConnection, target: str) -> bytes:
    connection.request("GET", target)
    return connection.getresponse().read()
