"""What the services that run an event loop do: as `hops`, and in more ways.

    /walk/NUMBER/HOP/HOP/...?n=MARK

A hop is a port, or several: with a plus between them they are asked one after the other, with a star all at
once. The letters behind a port say how it is asked: `c` by a connection of its own, `k` by a task of its
own, `t` by a blocking client in another thread, `b` by a task that nobody waits for, some time later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import hops

__all__ = ["walk"]

_LATER = 0.02
_background: set[asyncio.Task[None]] = set()

Ask = Callable[[str, str, bool], Awaitable[None]]
"""Of a port, for a path, by a new connection or by one that is kept."""


async def walk(target: str, ask: Ask) -> None:
    """Ask the ports of the first hop of `target`."""
    path, _, query = target.partition("?")
    _, name, number, *rest = path.split("/")
    if name != "walk" or not rest:
        return
    further = "/".join(["", name, number, *rest[1:]]) + "?" + query
    if "*" in rest[0]:
        await asyncio.gather(*(_one(hop, further, ask) for hop in rest[0].split("*")))
        return
    for hop in rest[0].split("+"):
        await _one(hop, further, ask)


async def _one(hop: str, target: str, ask: Ask) -> None:
    port = hop.rstrip("cktb")
    how = hop[len(port) :]
    new = "c" in how
    if "t" in how:
        path, _, query = target.partition("?")
        _, name, number, *rest = path.split("/")
        there = "/".join(["", name, number, port + "c" * new, *rest])
        await asyncio.to_thread(hops.walk, f"{there}?{query}")
    elif "k" in how:
        await asyncio.create_task(_ask(ask, port, target, new))
    elif "b" in how:
        task = asyncio.create_task(_ask(ask, port, target, new, _LATER))
        _background.add(task)
        task.add_done_callback(_background.discard)
    else:
        await ask(port, target, new)


async def _ask(ask: Ask, port: str, target: str, new: bool, delay: float = 0.0) -> None:
    if delay:
        await asyncio.sleep(delay)
    await ask(port, target, new)
