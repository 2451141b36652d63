"""The agent's health by HTTP, for probes of service managers and for Prometheus, where that is configured.

Whoever can reach the address may be hostile. A connection is one short request and its answer within a
second; of more than a few connections the oldest is dropped for the newest, so that those who send nothing
keep nobody out. It is served by a thread of its own, which the agent's end does not wait for. What it
receives is not observed, as nothing of the agent's is; who asks is a client like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from ipaddress import ip_address
from threading import Thread
from typing import Final

from otel_ebpf.health import Health, Verdict

__all__ = ["HealthListener"]

logger = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 32
DEADLINE_SECONDS: Final = 1.0
HEAD_MAX: Final = 4096
STOP_SECONDS: Final = 0.3

TEXT: Final = "text/plain; charset=utf-8"
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class HealthListener:
    """Made and started by the main thread. An agent whose port is taken works without it."""

    def __init__(
        self, address: tuple[str, int], health: Health, scrape: Callable[[], bytes | None] | None
    ) -> None:
        """`scrape` returns what `/metrics` is answered with, None before there is any; it may not raise."""
        self._address = address
        self._health = health
        self._scrape = scrape
        self._open: dict[asyncio.StreamWriter, None] = {}  # the oldest first
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Listen. What stands in the way is an error in the log; the agent observes all the same."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=CONNECTIONS_MAX)
        except OSError as error:
            logger.error(
                "nothing answers at %s port %d (%s): free it, or set telemetry.health.listen to another",
                *(host, port, error.strerror),
            )
            self._loop.close()
            return
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and drop who is connected."""
        if self._thread.ident is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._take, sock=self._socket, limit=HEAD_MAX)
        await self._stopping.wait()
        server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > CONNECTIONS_MAX:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                client, *_ = writer.get_extra_info("peername") or ("",)
                writer.write(await self._answer(reader, client))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, EOFError, OSError):
            writer.transport.abort()
        finally:
            self._open.pop(writer, None)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, client: str) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(431, f"a head has at most {HEAD_MAX} bytes here")
        match head.split(b"\r\n", 1)[0].split(b" "):
            case [b"GET" | b"HEAD" as method, path, b"HTTP/1.0" | b"HTTP/1.1"]:
                response = self._respond(path.split(b"?", 1)[0], client)
                return response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == b"HEAD" else response
            case [_, _, b"HTTP/1.0" | b"HTTP/1.1"]:
                return _response(405, "only GET and HEAD are answered")
        return _response(400, "not a request of HTTP/1")

    def _respond(self, path: bytes, client: str) -> bytes:
        match path:
            case b"/healthz":
                return _verdict(self._health.is_alive())
            case b"/readyz":
                return _verdict(self._health.is_ready())
            case b"/metrics" if self._scrape is not None:
                if not _is_local(client):
                    return _response(403, "metrics are for clients on this host: take them by OTLP")
                text = self._scrape()
                return _response(503, "not yet") if text is None else _response(200, text, PROMETHEUS)
        known = "/healthz, /readyz" + (", /metrics" if self._scrape is not None else "")
        return _response(404, f"here are {known}")


def _is_local(client: str) -> bool:
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:  # it has gone already
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _verdict(verdict: Verdict) -> bytes:
    return _response(200 if verdict.good else 503, verdict.reason)


def _response(status: int, body: str | bytes, kind: str = TEXT) -> bytes:
    content = body if isinstance(body, bytes) else f"{body}\n".encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
