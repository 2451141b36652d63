"""Libraries in C by their functions, and where in a file the probes of each go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from otel_ebpf.kernel.binaries import Elf, Function
from otel_ebpf.kernel.messages import Point

__all__ = ["Found", "Hook", "Library", "find"]


@dataclass(frozen=True, slots=True)
class Hook:
    """A function, the BPF program at its entry, and the one at its return, if any."""

    symbol: str
    entry: str
    at_return: str = ""


@dataclass(frozen=True, slots=True)
class Library:
    """A library by its functions. Those of `needs` tell that it is the one; others may be missing."""

    name: str
    needs: frozenset[str]
    hooks: tuple[Hook, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A library in a file, and its probes."""

    library: str
    points: tuple[Point, ...]


def find(
    elf: Elf, libraries: Sequence[Library], enough: Callable[[Collection[str]], bool]
) -> tuple[Found, ...]:
    """Return those of `libraries` that are defined in a file. Raises `BinaryError` for one that is broken.

    `enough` is given the functions that the file exports: where it says so, it has no others.
    """
    wanted = {hook.symbol for library in libraries for hook in library.hooks}
    functions = elf.functions(wanted, enough=enough)
    found = []
    for library in libraries:
        if not library.needs <= functions.keys():
            continue
        points = []
        for hook in library.hooks:
            function = functions.get(hook.symbol)
            if function is None:
                continue
            points += _points(elf, hook, function)
        found.append(Found(library.name, tuple(points)))
    return tuple(found)


def _points(elf: Elf, hook: Hook, function: Function) -> list[Point]:
    entry = elf.probed_entry(function)
    points = [Point(hook.entry, entry)]
    if hook.at_return and entry == function.offset:
        points.append(Point(hook.at_return, entry, at_return=True))
    elif hook.at_return:  # return probes are for the very first instruction alone
        points += [Point(hook.at_return, offset) for offset in elf.returns(function)]
    return points
