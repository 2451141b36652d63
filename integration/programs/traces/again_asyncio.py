"""As again_threads.py, an ASGI application for uvicorn, by httpx."""

from __future__ import annotations

from typing import Any

import httpx

client = httpx.AsyncClient(timeout=30, follow_redirects=True)


async def ask(url: str) -> None:
    """Ask, and once more where the connection was lost."""
    try:
        await client.get(url)
    except httpx.TransportError:
        await client.get(url)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    _, port, rest = scope["path"].split("/", 2)
    await ask(f"http://127.0.0.1:{port}/{rest}?{scope['query_string'].decode()}")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
