"""A hop as an ASGI application, for uvicorn: one thread, one event loop, a pool of connections."""

from __future__ import annotations

from typing import Any

import httpx

client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=30)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    _, name, number, *hops = scope["path"].split("/")
    if name == "walk" and hops:
        rest = "/".join(["", name, number, *hops[1:]]) + "?" + scope["query_string"].decode()
        for hop in hops[0].split("+"):
            await client.get(f"http://127.0.0.1:{hop.removesuffix('c')}{rest}")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"end\n"})
