"""Stack and calls of the programs of an object, as verifiers before Linux 6.8 count them.

A function takes the lowest place that it touches below its frame pointer, rounded up to 32 bytes. A chain of
calls may take 512 bytes together and have eight frames, and one that is tail called from may have 256 above.

Source: check_max_stack_depth in kernel/bpf/verifier.c, MAX_BPF_STACK and MAX_CALL_FRAMES.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

MOST_BYTES, MOST_FRAMES, MOST_ABOVE_TAIL_CALL = 512, 8, 256
_INSTRUCTION = Struct("<BBhi")
_SIZE = _INSTRUCTION.size
_CALL, _MOVE, _ADD, _LOAD_64 = 0x85, 0xBF, 0x07, 0x18
_LOADS, _STORES = (1,), (2, 3)  # BPF_LDX; BPF_ST, BPF_STX
_FRAME = 10
_PSEUDO_CALL = 1
_TAIL_CALL = 12  # BPF_FUNC_tail_call


@dataclass
class Function:
    """What one function takes of the stack, in bytes, and whom it calls."""

    name: str
    stack: int = 0
    calls: set[str] = field(default_factory=set)
    tail_calls: bool = False

    @property
    def frame(self) -> int:
        """What the verifier takes it for."""
        return (max(self.stack, 1) + 31) // 32 * 32


@dataclass(frozen=True)
class Chain:
    """Functions that call each other, the first of them first."""

    functions: tuple[Function, ...]

    @property
    def stack(self) -> int:
        """Bytes of all frames."""
        return sum(one.frame for one in self.functions)

    def __str__(self) -> str:
        return " > ".join(f"{one.name} ({one.stack})" for one in self.functions)


def functions(path: Path) -> dict[str, Function]:
    """Read an object's functions by name."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        symbols = elf.get_section_by_name(".symtab")
        places: dict[tuple[int, int], str] = {}
        for symbol in symbols.iter_symbols():
            if symbol["st_info"]["type"] == "STT_FUNC":
                places[symbol["st_shndx"], symbol["st_value"] // _SIZE] = symbol.name
        targets: dict[tuple[int, int], tuple[int | str, int]] = {}
        for section in elf.iter_sections():
            if isinstance(section, RelocationSection):
                for one in section.iter_relocations():
                    to = symbols.get_symbol(one["r_info_sym"])
                    at = section["sh_info"], one["r_offset"] // _SIZE
                    targets[at] = to["st_shndx"], to["st_value"] // _SIZE
        found: dict[str, Function] = {}
        for (index, start), name in places.items():
            others = [at for where, at in places if where == index and at > start]
            code = elf.get_section(index).data()
            end = min(others, default=len(code) // _SIZE)
            found[name] = _read(name, code[start * _SIZE : end * _SIZE], index, start, places, targets)
    return found


def _read(
    name: str,
    code: bytes,
    section: int,
    start: int,
    places: dict[tuple[int, int], str],
    targets: dict[tuple[int, int], tuple[int | str, int]],
) -> Function:
    function = Function(name)
    at_frame: set[int] = set()
    for at, (operation, registers, offset, value) in enumerate(_INSTRUCTION.iter_unpack(code), start):
        to, source = registers & 15, registers >> 4
        kind = operation & 7
        touched = source if kind in _LOADS else to if kind in _STORES else None
        if touched == _FRAME:
            function.stack = max(function.stack, -offset)
        if operation == _CALL and source == _PSEUDO_CALL:
            where, base = targets.get((section, at), (section, at))
            if where != "SHN_UNDEF":  # a function of the kernel's
                function.calls.add(places[where, base + 1 + value])
        elif operation == _CALL and value == _TAIL_CALL:
            function.tail_calls = True
        elif operation == _ADD and to in at_frame:
            function.stack = max(function.stack, -value)
        at_frame.discard(to)
        if operation == _MOVE and source == _FRAME:
            at_frame.add(to)
    return function


def chains(found: dict[str, Function], first: str) -> Iterator[Chain]:
    """Every chain of calls from a function on, to its end."""
    pending = [(found[first],)]
    while pending:
        chain = pending.pop()
        pending += [(*chain, found[name]) for name in chain[-1].calls]
        if not chain[-1].calls:
            yield Chain(chain)
