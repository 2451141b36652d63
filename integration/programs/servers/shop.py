"""A WSGI application for gunicorn: the common paths."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

BIG = b"x" * (1 << 20)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer one request."""
    path: str = environ["PATH_INFO"]
    if path == "/chunked":
        start_response("200 OK", [])
        return iter([b"one", b"two", b"three"])
    status, body = "200 OK", json.dumps({"path": path}).encode()
    if path == "/big":
        body = BIG
    elif path == "/slow":
        time.sleep(0.05)
    elif path.startswith("/status/"):
        status, body = f"{path.rpartition('/')[2]} As asked", b"as asked"
    elif path == "/echo":
        body = str(len(environ["wsgi.input"].read())).encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
