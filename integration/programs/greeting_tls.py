"""A server that speaks first, over TLS in memory, and its client: CERTIFICATE KEY COUNT.

The greeting is written before the thread has received any of the session's data, so that whose socket it is
is only known when it is sent.
"""

from __future__ import annotations

import asyncio
import ssl
import sys


async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 ready when you are\r\n")
    await writer.drain()
    writer.close()


async def main(certificate: str, key: str, port: int, count: int) -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context()
    theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=ours):
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs)
            assert (await reader.readline()).startswith(b"220")
            writer.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
