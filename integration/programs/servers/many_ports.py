"""Uvicorn over TLS with the ASGI application, on many ports at once: one thread, one event loop.

many_ports.py CERTIFICATE KEY PORT...
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn
from asgi_app import app  # type: ignore[import-not-found]


def main() -> None:
    certificate, key, *ports = sys.argv[1:]
    # The last port listens last: whoever waits for it finds all of them.
    sockets = [socket.create_server(("127.0.0.1", int(port)), backlog=256) for port in ports]
    config = uvicorn.Config(
        app, ssl_certfile=certificate, ssl_keyfile=key, http="h11", loop="asyncio", access_log=False
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=sockets))


main()
