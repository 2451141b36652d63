"""A hop on aiohttp's server, which has a task for each connection, and on its client: PORT."""

from __future__ import annotations

import sys

from aiohttp import web
from aiohttp_client import ask
from async_hops import walk


async def answer(request: web.Request) -> web.Response:
    """Answer one request."""
    await walk(request.raw_path, ask)
    return web.Response(body=b"end\n")


if __name__ == "__main__":
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), backlog=512, print=None)
