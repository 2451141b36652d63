"""Many connections of one event loop, all asking at once: MARK ROUNDS CONNECTIONS URL...

Of each round, request i goes to the ith URL, counted round, for a random number of bytes.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import httpx
import measured  # type: ignore[import-not-found]

mark, rounds, connections, *urls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]


async def ask(client: httpx.AsyncClient, number: int) -> None:
    name, size = f"{mark}-{number}", random.randrange(50_000)
    began = time.monotonic_ns()
    start = time.time_ns()
    response = await client.get(f"{urls[number % len(urls)]}/bytes/{size}?n={name}")
    took = time.monotonic_ns() - began
    assert len(response.content) == size
    local_port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    peer_port = int(response.headers["Peer-Port"])
    measured.report(name, start, took, response.status_code, local_port, peer_port)


async def main() -> None:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        for first in range(0, rounds * connections, connections):
            await asyncio.gather(*(ask(client, first + i) for i in range(connections)))


asyncio.run(main())
