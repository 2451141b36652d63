"""Libraries in C by their functions, and where in a file the probes of each go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
        hooks = {hook: functions[hook.symbol] for hook in library.hooks if hook.symbol in functions}
        inner = _inner(elf, hooks)
        points = []
        for hook, function in hooks.items():
            if hook in inner:
                points += _points(elf, hook, inner[hook])
            elif not any(elf.calls(function, one) for one in inner.values()):
                points += _points(elf, hook, function)
        found.append(Found(library.name, tuple(points)))
    return tuple(found)


def _inner(elf: Elf, hooks: Mapping[Hook, Function]) -> dict[Hook, Function]:
    """Return what functions hand all their arguments to, where probes cost less there.

    So does SSL_read_ex of many builds of OpenSSL. What calls the same function, as SSL_read does, is seen
    there too, and so needs no probes of its own.
    """
    inner = {}
    for hook, function in hooks.items():
        entry = elf.returning_entry(function) if hook.at_return else None
        if entry is not None and elf.steps_at(entry):
            other = elf.handed_on(function)
            place = elf.returning_entry(other) if other is not None else None
            if other is not None and place is not None and not elf.steps_at(place):
                inner[hook] = other
    return inner


def _points(elf: Elf, hook: Hook, function: Function) -> list[Point]:
    if not hook.at_return:
        return [Point(hook.entry, elf.probed_entry(function))]
    entry = elf.returning_entry(function)
    if entry is not None:
        return [Point(hook.entry, entry), Point(hook.at_return, entry, at_return=True)]
    returns = [Point(hook.at_return, offset) for offset in elf.returns(function)]
    return [Point(hook.entry, elf.probed_entry(function)), *returns]
