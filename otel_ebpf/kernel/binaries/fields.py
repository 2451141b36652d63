"""Where a field stands in a Go structure, from the program's DWARF, if it has any.

Not the whole of it is read, which takes minutes in Python: Go writes the names of types in place, so the
type is found by searching for its name, and only its members are decoded. Bounded by counts and sizes.

Source: DWARF 5, chapters 2.2 to 2.7 and 7.5; cmd/internal/dwarf/dwarf.go of Go 1.18 to 1.27.
"""

from __future__ import annotations

import zlib
from struct import Struct
from struct import error as StructError  # noqa: N812  it is no constant of ours
from typing import TYPE_CHECKING, NamedTuple

from otel_ebpf.kernel.binaries.errors import BinaryError

if TYPE_CHECKING:
    from otel_ebpf.kernel.binaries.elf import Elf

_COMPRESSION = Struct("<II8s8x")
_ZLIB = 1
_LARGEST = 1 << 26
_UNIT_4 = Struct("<IHIB")
_UNIT_5 = Struct("<IHBBI")
_MOST_UNITS = 20_000
_MOST_TRIED = 50
_LARGEST_TABLE = 1 << 16
_MOST_MEMBERS = 2000
_MOST_DECLARATIONS = 2000
_STRUCTURE = 0x13
_MEMBER = 0x0D
_NAME = 0x03
_LOCATION = 0x38
_STRING = 0x08
_CONSTANT = 0x21
_VARIABLE = (0x0D, 0x0F, 0x1A, 0x1B)  # sdata, udata, strx, addrx
_FIXED = {0x01: 8, 0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, 0x0E: 4, 0x10: 4, 0x13: 4, 0x17: 4, 0x19: 0}
"""Bytes of the forms that have always as many, in 32-bit DWARF of 64-bit programs."""


class _Declaration(NamedTuple):
    """What an entry of the abbreviation table says: a tag, and (attribute, form, constant) of each."""

    tag: int
    attributes: list[tuple[int, int, int]]


class _Cursor:
    """A place in bytes. Raises IndexError at their end."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def number(self) -> int:
        """Decode a LEB128 number."""
        value = shift = 0
        while shift < 64:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
        raise IndexError

    def value(self, form: int, constant: int) -> int | bytes:
        """Decode an attribute. Raises KeyError for forms that Go does not use in structures."""
        if form == _CONSTANT:
            return constant
        if form in _VARIABLE:
            return self.number()
        start = self.at
        if form == _STRING:
            end = self.data.find(b"\0", start)
            if end < 0:
                raise IndexError
            self.at = end + 1
            return self.data[start:end]
        self.at += _FIXED[form]
        return int.from_bytes(self.data[start : self.at], "little")


def offset(elf: Elf, type_name: str, field: str) -> int | None:
    """Return the offset in bytes of a field of a structure; None where it cannot be told."""
    try:
        info, declarations = _content(elf, b".debug_info"), _content(elf, b".debug_abbrev")
        if info and declarations:
            return _search(info, declarations, type_name.encode(), field.encode())
    except (BinaryError, IndexError, KeyError, StructError, zlib.error):
        pass
    return None


def _search(info: bytes, declarations: bytes, type_name: bytes, field: bytes) -> int | None:
    place = 0
    tables: dict[int, dict[int, _Declaration]] = {}
    for _ in range(_MOST_TRIED):
        place = info.find(type_name + b"\0", place + 1)
        if place < 0:
            break
        # The name is the first attribute, right behind the number of the declaration, of one byte. Pointers
        # to the type, "*name", have another byte there; what is no structure has another declaration.
        start = _declarations_of(info, place)
        if start not in tables:
            tables = {start: _declarations(declarations[start : start + _LARGEST_TABLE])}
        table = tables[start]
        told = table.get(info[place - 1])
        if told and told.tag == _STRUCTURE and told.attributes and told.attributes[0][:2] == (_NAME, _STRING):
            return _member(_Cursor(info, place - 1), table, field)
    return None


def _member(cursor: _Cursor, table: dict[int, _Declaration], field: bytes) -> int | None:
    """Return where the member stands in the structure at the cursor."""
    for _, form, constant in table[cursor.number()].attributes:
        cursor.value(form, constant)
    for _ in range(_MOST_MEMBERS):
        told = table.get(cursor.number())  # 0, the end of the members, is no declaration
        if told is None or told.tag != _MEMBER:
            break
        values = {name: cursor.value(form, constant) for name, form, constant in told.attributes}
        found = values.get(_LOCATION)
        if values.get(_NAME) == field and isinstance(found, int):
            return found
    return None


def _declarations_of(info: bytes, place: int) -> int:
    """Return where the declarations begin that the unit around `place` uses. Raises IndexError."""
    at = 0
    for _ in range(_MOST_UNITS):
        length, version, start, _ = _UNIT_4.unpack_from(info, at)
        if version >= 5:
            start = _UNIT_5.unpack_from(info, at)[4]
        if at < place < at + 4 + length:
            return int(start)
        at += 4 + length
    raise IndexError


def _declarations(data: bytes) -> dict[int, _Declaration]:
    cursor = _Cursor(data, 0)
    found: dict[int, _Declaration] = {}
    for _ in range(_MOST_DECLARATIONS):
        number = cursor.number()
        if not number:
            break
        found[number] = _Declaration(cursor.number(), [])
        cursor.at += 1  # whether it has children, which its tag tells here
        while True:
            name, form = cursor.number(), cursor.number()
            constant = cursor.number() if form == _CONSTANT else 0
            if not name and not form:
                break
            found[number].attributes.append((name, form, constant))
    return found


def _content(elf: Elf, name: bytes) -> bytes:
    """Return a section, decompressed; empty where it is missing, or larger than is worth the memory."""
    section = elf.section(name)
    if section is None or section.size > _LARGEST:
        return b""
    data = elf.image.read(section.offset, section.size)
    if not section.compressed:
        return data
    kind, _, raw = _COMPRESSION.unpack_from(data)
    size = int.from_bytes(raw, "little")
    if kind != _ZLIB or not 0 < size <= _LARGEST:
        return b""
    elf.image.spend(4 * size)
    return zlib.decompressobj().decompress(memoryview(data)[_COMPRESSION.size :], size)
