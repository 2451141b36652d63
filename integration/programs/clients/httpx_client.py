"""httpx, with a client that keeps its connection."""

from __future__ import annotations

import httpx
import measured  # type: ignore[import-not-found]

client = httpx.Client(timeout=10)


def request(method: str, url: str, body: bytes | None) -> int:
    return client.request(method, url, content=body).status_code


measured.run(request)
