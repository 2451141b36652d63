"""A reader of BTF (Documentation/bpf/btf.rst), as far as layouts of structs go."""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import NamedTuple

from elftools.elf.elffile import ELFFile

_HEADER = Struct("<HBBIIIII")
_TYPE = Struct("<III")
_MEMBER = Struct("<III")

_INT, _POINTER, _ARRAY, _STRUCT, _UNION, _ENUM, _FUNC_PROTO, _VAR, _DATASEC = 1, 2, 3, 4, 5, 6, 13, 14, 15
_DECL_TAG, _ENUM64 = 17, 19
_QUALIFIERS = (8, 9, 10, 11, 18)  # typedef, volatile, const, restrict, type tag: the type is what it names


class Type(NamedTuple):
    """One BTF type: `size` is a size or the type that is named, as its kind has it."""

    name: str
    kind: int
    entries: int
    bitfields: bool
    size: int
    data: int  # offset of what follows the fixed part


class Field(NamedTuple):
    """A member of a struct."""

    name: str
    offset: int  # bytes
    size: int


class Btf:
    """The types of one object file."""

    def __init__(self, section: bytes) -> None:
        magic, _, _, header, types_at, types_size, strings_at, strings_size = _HEADER.unpack_from(section)
        if magic != 0xEB9F:
            raise ValueError("not little-endian BTF")
        self._data = section
        self._strings = section[header + strings_at : header + strings_at + strings_size]
        self.types: list[Type] = [Type("void", 0, 0, False, 0, 0)]
        at, end = header + types_at, header + types_at + types_size
        while at < end:
            name, info, size = _TYPE.unpack_from(section, at)
            kind, entries = info >> 24 & 0x1F, info & 0xFFFF
            at += _TYPE.size
            self.types.append(Type(self._string(name), kind, entries, bool(info >> 31), size, at))
            at += self._trailing(kind, entries)

    @classmethod
    def of_object(cls, path: Path) -> Btf:
        """Read the .BTF section of an ELF file."""
        with path.open("rb") as file:
            section = ELFFile(file).get_section_by_name(".BTF")
            if section is None:
                raise ValueError(f"{path} has no BTF")
            return cls(section.data())

    @staticmethod
    def _trailing(kind: int, entries: int) -> int:
        if kind in (_INT, _VAR, _DECL_TAG):
            return 4
        if kind == _ARRAY:
            return 12
        if kind in (_STRUCT, _UNION, _DATASEC, _ENUM64):
            return 12 * entries
        if kind in (_ENUM, _FUNC_PROTO):
            return 8 * entries
        return 0

    def _string(self, at: int) -> str:
        return self._strings[at : self._strings.index(b"\0", at)].decode()

    def size_of(self, number: int) -> int:
        """Return the size in bytes of a type."""
        kind = self.types[number]
        if kind.kind in _QUALIFIERS:
            return self.size_of(kind.size)
        if kind.kind == _ARRAY:
            element, _, count = _MEMBER.unpack_from(self._data, kind.data)
            return self.size_of(element) * int(count)
        return 8 if kind.kind == _POINTER else kind.size

    def struct(self, name: str) -> tuple[int, list[Field]]:
        """Return the size and the members of a struct, those of nested structs as `outer.inner`."""
        for number, kind in enumerate(self.types):
            if kind.kind == _STRUCT and kind.name == name:
                return kind.size, list(self._members(number, "", 0))
        raise KeyError(f"no struct {name} in this object's BTF")

    def _members(self, number: int, prefix: str, base: int) -> list[Field]:
        owner = self.types[number]
        fields: list[Field] = []
        for index in range(owner.entries):
            name, member, offset = _MEMBER.unpack_from(self._data, owner.data + index * 12)
            at = base + (offset & 0xFFFFFF if owner.bitfields else offset) // 8
            while self.types[member].kind in _QUALIFIERS:
                member = self.types[member].size
            label = prefix + self._string(name)
            if self.types[member].kind == _STRUCT:
                fields += self._members(member, label + ".", at)
            else:
                fields.append(Field(label, at, self.size_of(member)))
        return fields
