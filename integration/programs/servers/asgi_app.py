"""An ASGI application for uvicorn: the common paths, /bytes/N, and /events, which trickles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

BIG = b"x" * (1 << 20)


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    path: str = scope["path"]
    if path == "/chunked":
        await _stream(send, [b"one", b"two", b"three"], gap=0, kind=b"text/plain")
    elif path == "/events":
        await _stream(send, [b"data: %d\n\n" % i for i in range(3)], gap=0.3, kind=b"text/event-stream")
    elif path == "/big":
        await _whole(send, 200, BIG)
    elif path.startswith("/bytes/"):
        peer = (b"peer-port", b"%d" % scope["client"][1])
        await _whole(send, 200, b"x" * int(path.rpartition("/")[2]), peer)
    elif path.startswith("/status/"):
        await _whole(send, int(path.rpartition("/")[2]), b"as asked")
    elif path == "/echo":
        await _whole(send, 200, str(await _length(receive)).encode())
    else:
        if path == "/slow":
            await asyncio.sleep(0.05)
        await _whole(send, 200, json.dumps({"path": path}).encode())


async def _length(receive: Receive) -> int:
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            return length


async def _whole(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Send, parts: list[bytes], gap: float, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(gap)
    await send({"type": "http.response.body", "body": b""})
