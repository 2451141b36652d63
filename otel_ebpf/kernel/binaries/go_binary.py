"""A Go program: its functions, stripped or not, and where each returns.

Go moves stacks, so a probe at the return address, as the kernel plants it for C, would crash it. Probes
for its returns stand on the return instructions instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from otel_ebpf.kernel.binaries import build_info, fields, go_layouts, returns
from otel_ebpf.kernel.binaries.elf import Elf, Function
from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.binaries.pclntab import Pclntab
from otel_ebpf.kernel.binaries.prologue import behind_check
from otel_ebpf.kernel.binaries.stepping import GO_ARGUMENTS, cheap_exit

_LARGEST_FUNCTION = 1 << 18
_LARGEST_CHECK = 32


class GoBinary:
    """The Go side of an `Elf`, which it does not close."""

    def __init__(self, elf: Elf) -> None:
        """Read what Go left in it. Raises `BinaryError` when it is no program of Go 1.18 or newer."""
        place = build_info.find(elf)
        if place is None:
            raise BinaryError("is no Go program: it has no build information")
        self._elf = elf
        self.version = build_info.version(elf.image, place)
        self._pclntab = Pclntab(elf)

    def functions(self, names: Collection[str]) -> dict[str, Function]:
        """Return those of `names` that are functions here.

        Names are full, as in "crypto/tls.(*Conn).Read". What the symbol table has not (it is stripped)
        is looked up in Go's own table; its sizes include padding. Raises `BinaryError`.
        """
        found = self._elf.functions(names)
        return found | self._pclntab.functions(set(names) - found.keys())

    def returns(self, function: Function) -> tuple[int, ...]:
        """Return the file offset of every return instruction of a function.

        Raises `BinaryError` when its code is not understood: then none of it is to be probed.
        """
        if not 0 < function.size <= _LARGEST_FUNCTION:
            raise BinaryError(f"a function of {function.size} bytes is not looked through for its returns")
        if self._elf.machine == "x86_64" and (told := self._pclntab.returns(function)) is not None:
            return told
        code = self._elf.image.read(function.offset, function.size)
        return tuple(function.offset + at for at in returns.IN[self._elf.machine](code, function.offset))

    def entry(self, function: Function) -> int:
        """Return the file offset of a function's entry at which probes cost least. Raises `BinaryError`."""
        return self._elf.probed_entry(function, GO_ARGUMENTS)

    def exits(self, function: Function) -> tuple[int, ...]:
        """Return file offsets that each call passes once, with its result in the first register.

        A branch before the return where there is one, as probes cost less there, else `returns`.
        """
        if self._elf.machine == "x86_64" and 0 < function.size <= _LARGEST_FUNCTION:
            at = cheap_exit(self._elf.image.read(function.offset, function.size))
            if at is not None:
                return (function.offset + at,)
        return self.returns(function)

    def body(self, function: Function) -> int:
        """Return the file offset at which a call is in progress for good: behind the check of its stack.

        Raises `BinaryError` when the function cannot be read.
        """
        code = self._elf.image.read(function.offset, min(function.size, _LARGEST_CHECK))
        return function.offset + behind_check(self._elf.machine, code)

    def field_offset(self, type_name: str, field: str) -> int | None:
        """Return the offset in bytes of a field of a structure, as in ("crypto/tls.Conn", "conn").

        As the program's DWARF has it; where that is stripped or does not tell, as its version of Go has it,
        the newest that is known for newer ones. None for fields that are not in go_layouts.py. Never raises.
        """
        told = fields.offset(self._elf, type_name, field)
        if told is not None:
            return told
        number = re.match(r"go1\.(\d+)", self.version)
        steps = go_layouts.OFFSETS.get((type_name, field), ())
        known = [offset for since, offset in steps if not number or since <= int(number[1])]
        return known[-1] if known else None
