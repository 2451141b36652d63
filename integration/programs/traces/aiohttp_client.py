"""Asks by aiohttp's client, from a pool or by new connections."""

from __future__ import annotations

import aiohttp

__all__ = ["ask"]

_sessions: list[aiohttp.ClientSession] = []


def _session(limit: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit, force_close=bool(limit)))


async def ask(port: str, target: str, new: bool) -> None:
    """Ask 127.0.0.1."""
    if new:
        async with _session(1) as one:
            await _get(one, port, target)
        return
    if not _sessions:
        _sessions.append(_session(0))
    await _get(_sessions[0], port, target)


async def _get(session: aiohttp.ClientSession, port: str, target: str) -> None:
    async with session.get(f"http://127.0.0.1:{port}{target}") as answer:
        await answer.read()
