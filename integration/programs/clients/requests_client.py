"""requests, with a session that keeps its connection."""

from __future__ import annotations

import measured  # type: ignore[import-not-found]
import requests

session = requests.Session()


def request(method: str, url: str, body: bytes | None) -> int:
    return session.request(method, url, data=body, timeout=10).status_code


measured.run(request)
