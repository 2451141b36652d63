"""Where Go's code begins, by which its tables count: `text` of runtime.moduledata.

Not the .text section: in programs linked with C code, C's comes first. Not the header of pclntab: Go 1.26
stopped writing it there. The first words of moduledata point at pclntab, by which it is found, and its
`minpc` and `maxpc` must agree with the table, or there is no answer: probes at the wrong addresses break
the program. In position-independent programs its words may be zero in the file, and stand in the
relocations instead.

Source: moduledata in runtime/symtab.go, whose first 23 words are the same in Go 1.17 to 1.27.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from struct import Struct
from typing import TYPE_CHECKING

from otel_ebpf.kernel.binaries.errors import BinaryError

if TYPE_CHECKING:
    from otel_ebpf.kernel.binaries.elf import Elf

_WORD = Struct("<Q")
_TWO = Struct("<QQ")
_THREE = Struct("<QQQ")
_WORD_SIZE = 8
_NAMES = 1
_LOWEST = 20
_RELATIVE = {"x86_64": 8, "aarch64": 1027}
_RELOCATION_SIZE = 24
_DT_RELA = 7
_DT_RELASZ = 8
_MOST_DYNAMIC = 1 << 16
_MOST_TRIED = 100


def text(elf: Elf, pclntab: int, names: int, first: int, last: int) -> int:
    """Return the address at which Go's code begins.

    `pclntab` and `names` are the addresses of the table and of its names; `first` and `last` are where the
    first function begins and the last ends, from the address that is sought. Raises `BinaryError`.
    """
    candidates = chain(_in_place(elf, pclntab, names), _relocated(elf, pclntab, names))
    for lowest, highest, start in islice(candidates, _MOST_TRIED):
        if (start + first, start + last) == (lowest, highest):
            return start
    raise BinaryError("it cannot be told where its Go code begins: no moduledata agrees with its pclntab")


def _in_place(elf: Elf, pclntab: int, names: int) -> Iterator[tuple[int, int, int]]:
    """Yield (minpc, maxpc, text) of what looks like moduledata among the variables."""
    needle = _TWO.pack(pclntab, names)
    for load in elf.loads:
        if load.data:
            for _, place in elf.image.search([needle], load.offset, load.size):
                yield _THREE.unpack(elf.image.read(place + _LOWEST * _WORD_SIZE, _THREE.size))


def _relocated(elf: Elf, pclntab: int, names: int) -> Iterator[tuple[int, int, int]]:
    """Yield the same from relocations: (where, kind, value) of 24 bytes, one for each word."""
    offset, size = _relocations(elf)
    kind = _RELATIVE[elf.machine]
    for _, place in elf.image.search([_TWO.pack(kind, pclntab)], offset, size):
        if (place - offset) % _RELOCATION_SIZE != _WORD_SIZE:
            continue
        where = _WORD.unpack(elf.image.read(place - _WORD_SIZE, _WORD_SIZE))[0]
        words = (_NAMES, _LOWEST, _LOWEST + 1, _LOWEST + 2)
        values = _values(elf, offset, size, [(where + word * _WORD_SIZE) & (2**64 - 1) for word in words])
        if len(values) == len(words) and values[0] == names:
            yield values[1], values[2], values[3]


def _values(elf: Elf, offset: int, size: int, places: list[int]) -> list[int]:
    """Return what the loader writes at these addresses, those that it does write."""
    needles = {_TWO.pack(place, _RELATIVE[elf.machine]): place for place in places}
    found = {
        needles[needle]: _WORD.unpack(elf.image.read(at + _TWO.size, _WORD_SIZE))[0]
        for needle, at in elf.image.search(needles.keys(), offset, size)
        if (at - offset) % _RELOCATION_SIZE == 0
    }
    return [found[place] for place in places if place in found]


def _relocations(elf: Elf) -> tuple[int, int]:
    """Return file offset and size in bytes of the relocations; zeros where there are none."""
    if elf.dynamic is None:
        return 0, 0
    size = min(elf.dynamic.size, _MOST_DYNAMIC) // _TWO.size * _TWO.size
    entries = dict(_TWO.iter_unpack(elf.image.read(elf.dynamic.offset, size)))
    offset = elf.file_offset(entries.get(_DT_RELA, 0))
    if offset is None or _DT_RELA not in entries:
        return 0, 0
    return offset, entries.get(_DT_RELASZ, 0)
