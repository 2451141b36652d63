"""A hop as an ASGI application that asks by aiohttp's client, for uvicorn."""

from __future__ import annotations

from typing import Any

from aiohttp_client import ask
from async_hops import walk


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    await walk(f"{scope['path']}?{scope['query_string'].decode()}", ask)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"end\n"})
