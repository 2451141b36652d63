"""A hop on asyncio's streams alone, without any package: [late] PORT.

One that is late answers first, and asks afterwards, in the same task.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict

from async_hops import walk

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LATE = sys.argv[1] == "late"
_kept: defaultdict[str, list[Connection]] = defaultdict(list)

_serving: set[asyncio.Task[None] | None] = set()


async def ask(port: str, target: str, new: bool) -> None:
    """Ask 127.0.0.1."""
    idle = _kept[port]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port)) if new or not idle else idle.pop()
    writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    if new:
        writer.close()
        await writer.wait_closed()
    else:
        idle.append((reader, writer))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    task = asyncio.current_task()
    _serving.add(task)  # before 3.10 nobody else holds it
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            if not LATE:
                await walk(target, ask)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nend\n")
            await writer.drain()
            if LATE:
                await walk(target, ask)
    except asyncio.IncompleteReadError:
        writer.close()
    _serving.discard(task)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[-1]), backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
