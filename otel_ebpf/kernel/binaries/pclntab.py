"""Go's own table of functions, which its runtime needs and stripping leaves: pclntab.

Source: runtime/symtab.go, debug/gosym/pclntab.go and cmd/link/internal/ld/pcln.go of Go 1.18 to 1.27.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from otel_ebpf.kernel.binaries import module_data
from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.binaries.stack_height import by_height

if TYPE_CHECKING:
    from otel_ebpf.kernel.binaries.elf import Elf, Function

_HEADER = Struct("<IHBB8Q")
_OLD = {0xFFFFFFFB: "1.2 to 1.15", 0xFFFFFFFA: "1.16 and 1.17"}
_SUPPORTED = {0xFFFFFFF0: 36, 0xFFFFFFF1: 40}
"""Of Go 1.18 and 1.20: the offset of funcID in _func, and of its flags behind that."""
_NORMAL = 0
_ASSEMBLY = 4
_SECTIONS = (b".gopclntab", b".data.rel.ro.gopclntab")
_PAIR = 8
_STEPS = Struct("<I")
_STEPS_AT = 16
"""Where _func has `pcsp`: from Go 1.18 behind entry, name, arguments and deferreturn."""
_LONGEST_STEPS = 1 << 14
_MOST_FUNCTIONS = 1_000_000
_WINDOW = 4096
_WIDEST_WINDOW = 1 << 22
_MOST_TRIED = 100


class _Header(NamedTuple):
    """File offsets, in bytes, the number of functions, and what differs between versions."""

    start: int
    entries: int
    names: int
    names_end: int
    steps: int
    functions: int
    kind: int


class Pclntab:
    """The functions of a Go program, by name."""

    def __init__(self, elf: Elf) -> None:
        """Find it. Raises `BinaryError` when it cannot be found, or is of another version of Go."""
        self._elf = elf
        self._header = _find(elf)
        size = self._header.entries * _PAIR + 4
        pairs = elf.image.read(self._header.functions, size)
        self._pairs = memoryview(pairs).cast("I")  # entry, offset of _func, entry, ..., end of the last
        address = elf.address(self._header.start)
        if address is None:
            raise BinaryError("its table of functions is not mapped")
        names = address + self._header.names - self._header.start
        self._text = module_data.text(elf, address, names, self._pairs[0], self._pairs[-1])

    def functions(self, names: Collection[str]) -> dict[str, Function]:
        """Return those of `names` that are functions here; their size includes the padding behind them.

        Adapters to the other calling convention bear the name of their function: they are passed over.
        What is ambiguous still is left out: assembly with such an adapter, instances of generics ("[...]").
        """
        places = self._places(names)
        found: dict[str, list[tuple[bool, Function]]] = {}
        for start in range(0, self._header.entries if places else 0, _WINDOW):
            for index, place in self._in_window(start, places):
                entry, end = self._pairs[2 * index], self._pairs[2 * index + 2]
                function = self._elf.function(self._text + entry, max(end - entry, 0))
                if function is not None:
                    found.setdefault(places[place], []).append((self._is_plain(index), function))
        chosen = {}
        for name, several in found.items():
            one = several if len(several) == 1 else [pair for pair in several if pair[0]]
            if len(one) == 1:
                chosen[name] = one[0][1]
        return chosen

    def returns(self, function: Function) -> tuple[int, ...] | None:
        """Return the file offsets of a function's return instructions, None where its table does not tell.

        By the height of its stack, which Go keeps for each instruction: a return stands where it is back at
        what it was at the entry. x86-64 only. Raises `BinaryError`.
        """
        address = self._elf.address(function.offset)
        index = bisect_left(self._pairs[:-1:2], (address or 0) - self._text)
        if address is None or 2 * index + 1 >= len(self._pairs):
            return None
        if self._pairs[2 * index] != address - self._text:
            return None
        image, header = self._elf.image, self._header
        at = header.functions + self._pairs[2 * index + 1]
        steps = header.steps + _STEPS.unpack(image.read(at + _STEPS_AT, _STEPS.size))[0]
        table = image.read(steps, min(_LONGEST_STEPS, image.size - steps))
        return by_height(image.read(function.offset, function.size), table, function.offset)

    def _is_plain(self, index: int) -> bool:
        """Return whether it was compiled from Go, and is no adapter."""
        offset = self._header.functions + self._pairs[2 * index + 1] + self._header.kind
        identity, flags = self._elf.image.read(offset, 2)
        return identity == _NORMAL and not flags & _ASSEMBLY

    def _places(self, names: Collection[str]) -> dict[int, str]:
        """Return the offset of each name in the table of names."""
        image, header = self._elf.image, self._header
        needles = {name.encode() + b"\0": name for name in names if name and "\0" not in name}
        size = header.names_end - header.names
        return {
            place - header.names: needles[needle]
            for needle, place in image.search(needles.keys(), header.names, size)
            if place == header.names or image.read(place - 1, 1) == b"\0"
        }

    def _in_window(self, start: int, places: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yield (index, place of its name) of the functions that have one of these names.

        From `start`, a window at a time: each lies together in the file, so one read has them all.
        """
        offsets = self._pairs[2 * start + 1 : 2 * min(start + _WINDOW, self._header.entries) : 2]
        low, high = min(offsets), max(offsets)
        if high - low > _WIDEST_WINDOW:
            raise BinaryError("its table of functions is out of order")
        region = self._elf.image.read(self._header.functions + low, (high - low + _PAIR) & ~3)
        words = memoryview(region).cast("I")  # of each _func: the entry again, the place of the name
        for index, offset in enumerate(offsets, start):
            at = (offset - low) >> 2
            if words[at + 1] in places and words[at] == self._pairs[2 * index]:
                yield index, words[at + 1]


def _find(elf: Elf) -> _Header:
    """By its section, else by how it begins."""
    section = elf.section(*_SECTIONS)
    found = _header(elf, section.offset) if section else None
    if found is not None:
        return found
    needles = [magic.to_bytes(4, "little") + b"\0\0" for magic in (*_SUPPORTED, *_OLD)]
    tried = 0
    for load in elf.loads:
        for _, place in elf.image.search(needles, load.offset, load.size):
            tried += 1
            found = _header(elf, place)
            if found is not None:
                return found
            if tried > _MOST_TRIED:
                raise BinaryError("has too many that look like Go's table of functions")
    raise BinaryError("has no table of functions that Go 1.18 or newer writes")


def _header(elf: Elf, start: int) -> _Header | None:
    """Read the header at `start`; None when it is none. Raises `BinaryError` when it is an old one."""
    if start + _HEADER.size > elf.image.size:
        return None
    magic, zero, quantum, pointer, count, _, _, names, units, _, steps, functions = _HEADER.unpack(
        elf.image.read(start, _HEADER.size)
    )
    if zero or quantum not in (1, 4) or pointer != 8:
        return None
    if magic in _OLD:
        raise BinaryError(f"its table of functions is that of Go {_OLD[magic]}, which is not supported")
    fits = _HEADER.size <= names < units <= steps <= functions and start + functions < elf.image.size
    if magic not in _SUPPORTED or not fits or not 0 < count <= _MOST_FUNCTIONS:
        return None
    places = (start + names, start + units, start + steps, start + functions)
    return _Header(start, count, *places, _SUPPORTED[magic])
