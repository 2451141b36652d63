"""urllib3, with a pool."""

from __future__ import annotations

import measured  # type: ignore[import-not-found]
import urllib3

pool = urllib3.PoolManager()


def request(method: str, url: str, body: bytes | None) -> int:
    return pool.request(method, url, body=body, timeout=10).status


measured.run(request)
