"""A hop as a WSGI application, for gunicorn's forked workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hops import walk


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer one request."""
    body = walk(f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
