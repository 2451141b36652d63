"""Where a library calls functions of others: its stubs in the procedure linkage table (PLT).

Each stub jumps to what the loader has written into a slot, and a relocation says for which function that is.
Probes on a stub are hit by this library's calls alone, with the arguments still in their registers. Code that
calls through the slots without stubs (-fno-plt) has none.

Source: the System V ABI for x86-64, chapter 5.2; sections .plt, .plt.got and .plt.sec as GNU ld, gold and lld
write them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from struct import Struct
from typing import TYPE_CHECKING, Final

from otel_ebpf.kernel.binaries.errors import BinaryError

if TYPE_CHECKING:
    from otel_ebpf.kernel.binaries.elf import Elf

__all__ = ["stubs"]

_RELOCATION: Final = Struct("<QQq")
_SYMBOL: Final = Struct("<I20x")
_JUMP: Final = Struct("<i")
_SLOTS: Final = (6, 7)  # R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT
_DYNSYM: Final = 11
_STRIDE: Final = 8
"""Bytes: stubs begin at multiples, of 16 most of them."""
_STUB: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?(\xf2?\xff\x25)")  # [endbr64] [bnd] jmp *slot(%rip)
_LONGEST: Final = 11
_MOST: Final = 100_000
_LONGEST_NAME: Final = 64


def stubs(elf: Elf, names: Collection[str]) -> dict[str, int]:
    """Return the file offsets of the jumps by which the functions of `names` are called.

    Raises `BinaryError`.
    """
    if elf.machine != "x86_64":
        return {}
    slots = _slots(elf, {name.encode() for name in names})
    found: dict[str, int] = {}
    for section in elf.sections:
        if section.name in (b".plt", b".plt.got", b".plt.sec"):
            _search(elf, section.offset, section.size, slots, found)
    return found


def _search(elf: Elf, start: int, size: int, slots: dict[int, str], found: dict[str, int]) -> None:
    code = elf.image.read(start, size)
    address = elf.address(start)
    if address is None:
        return
    for at in range(0, size - _LONGEST + 1, _STRIDE):
        stub = _STUB.match(code, at)
        if stub is None or stub.end() + _JUMP.size > size:
            continue
        behind = stub.end() + _JUMP.size
        name = slots.get(address + behind + _JUMP.unpack_from(code, stub.end())[0])
        if name is not None:
            found.setdefault(name, start + stub.start(1))


def _slots(elf: Elf, names: Collection[bytes]) -> dict[int, str]:
    """Return the addresses of the slots of `names`, and whose each is."""
    symbols = next((one for one in elf.sections if one.kind == _DYNSYM), None)
    if symbols is None or symbols.stride != 24 or symbols.link >= len(elf.sections):
        return {}
    strings = elf.sections[symbols.link]
    found = {}
    for section in elf.sections:
        if section.name not in (b".rela.plt", b".rela.dyn"):
            continue
        if section.size > _MOST * _RELOCATION.size or section.size % _RELOCATION.size:
            raise BinaryError(f"has {section.size} bytes of relocations, which is not believable")
        for slot, info, _ in _RELOCATION.iter_unpack(elf.image.read(section.offset, section.size)):
            if info & 0xFFFFFFFF not in _SLOTS:
                continue
            place = (info >> 32) * symbols.stride
            if place + symbols.stride > symbols.size:
                raise BinaryError("relocates by a symbol that is not there")
            at = _SYMBOL.unpack(elf.image.read(symbols.offset + place, symbols.stride))[0]
            left = min(strings.size - at, _LONGEST_NAME)
            name = elf.image.read(strings.offset + at, max(left, 0)).partition(b"\0")[0]
            if name in names:
                found[slot] = name.decode()
    return found
