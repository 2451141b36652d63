"""A hop as an ASGI application, for uvicorn: one thread, one event loop, a pool of connections."""

from __future__ import annotations

from typing import Any

import httpx
from async_hops import walk

_NO_LIMITS = httpx.Limits(max_connections=None)
client = httpx.AsyncClient(limits=_NO_LIMITS, timeout=30)


async def ask(port: str, target: str, new: bool) -> None:
    """Ask by httpx."""
    url = f"http://127.0.0.1:{port}{target}"
    if not new:
        await client.get(url)
        return
    async with httpx.AsyncClient(timeout=30, verify=False) as one:
        await one.get(url)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    await walk(f"{scope['path']}?{scope['query_string'].decode()}", ask)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"end\n"})
