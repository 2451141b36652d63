"""httpx on asyncio, with a client that keeps its connection; asyncio encrypts in memory."""

from __future__ import annotations

import asyncio

import httpx
import measured  # type: ignore[import-not-found]

with asyncio.Runner() as runner:
    client = httpx.AsyncClient(timeout=10)

    async def exchange(method: str, url: str, body: bytes | None) -> int:
        response = await client.request(method, url, content=body)
        return response.status_code

    measured.run(lambda *request: runner.run(exchange(*request)))
    runner.run(client.aclose())
