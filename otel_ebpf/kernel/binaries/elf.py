"""An ELF file: its headers, and the functions and variables that its symbol tables name.

Source: the System V gABI, chapters 4 and 5. Only what x86-64 and arm64 hosts run: 64 bits, little endian.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import NamedTuple

from otel_ebpf.kernel.binaries import build_info, prefixes, stepping, symbols
from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.binaries.gnu_hash import GnuHash
from otel_ebpf.kernel.binaries.image import MOST_WORK, Image

_HEADER = Struct("<4sBB10x2xH12xQQ6x5H")
_SEGMENT = Struct("<IIQQQQQQ")
_SECTION = Struct("<IIQQQQIIQQ")
_WORD = Struct("<Q")
_RELOCATION = Struct("<QQq")
_RELATIVE = (8, 1027)  # R_X86_64_RELATIVE, R_AARCH64_RELATIVE
_MACHINES = {62: "x86_64", 183: "aarch64"}
_LOAD = 1
_DYNAMIC = 2
_THREAD_LOCAL = 7
_EXECUTE = 1
_WRITE = 2
_NOBITS = 8
_COMPRESSED = 0x800
_SYMTAB = 2
_DYNSYM = 11
_GNU_HASH = 0x6FFFFFF6
_VERSIONS = 0x6FFFFFFF
_MANY = 0xFFFF
_USER_SPACE = 1 << 63
_MOST_LOADS = 128
_MOST_SECTIONS = 1 << 16
_LONGEST_NAMES = 1 << 22
_LONGEST_NAME = 64
_LONGEST_START = 64
_LARGEST_FUNCTION = 1 << 14
_LONGEST_BRANCH = 6


@dataclass(frozen=True, slots=True)
class Function:
    """Where a function stands in the file, as perf's uprobes count."""

    offset: int
    """File offset of the first instruction, in bytes."""
    size: int
    """Bytes; 0 where it is unknown."""


class Segment(NamedTuple):
    """A program header: file bytes, and the address at which they are mapped."""

    flags: int
    offset: int
    address: int
    size: int

    @property
    def executable(self) -> bool:
        """Whether it holds code."""
        return bool(self.flags & _EXECUTE)

    @property
    def data(self) -> bool:
        """Whether it holds variables."""
        return self.flags & (_EXECUTE | _WRITE) == _WRITE


class Section(NamedTuple):
    """A section header. `offset` and `size` are what the file says, unchecked."""

    name: bytes
    kind: int
    offset: int
    size: int
    link: int
    stride: int
    compressed: bool


class Elf:
    """An ELF file, open for reading. A context manager."""

    def __init__(self, path: str | Path, work: int = MOST_WORK) -> None:
        """Open it and read its headers; `work` bounds all that is read and searched. Raises `BinaryError`."""
        self.image = Image(path, work)
        self.loads: list[Segment] = []
        self.dynamic: Segment | None = None
        self.thread_local = 0
        """Bytes of thread-local variables."""
        self.sections: list[Section] = []
        try:
            self._read_headers()
        except BinaryError:
            self.close()
            raise

    def __enter__(self) -> Elf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.image.close()

    def functions(
        self, names: Collection[str], enough: Callable[[Collection[str]], bool] = lambda found: False
    ) -> dict[str, Function]:
        """Return those of `names` that are functions defined here, with their place.

        .dynsym is asked first, and .symtab for what is still missing, unless what was found is `enough`.
        Imports, and functions that the loader chooses among at run time (GNU_IFUNC), are not defined here.
        Raises `BinaryError`.
        """
        found: dict[str, Function] = {}
        for kind in (_DYNSYM, _SYMTAB):
            missing = set(names) - found.keys()
            if not missing or (kind == _SYMTAB and enough(found.keys())):
                break
            for symbol in self._symbols(kind, missing):
                place = self.function(symbol.address, symbol.size)
                if place is not None:
                    found.setdefault(symbol.name, place)
        return found

    def variables(self, names: Collection[str]) -> dict[str, int]:
        """Return the addresses of those of `names` that are variables and exported (.dynsym).

        Raises `BinaryError`.
        """
        found: dict[str, int] = {}
        for symbol in self._symbols(_DYNSYM, names, symbols.OBJECT):
            found.setdefault(symbol.name, symbol.address)
        return found

    def pointer(self, address: int) -> int:
        """Return the address that the variable at `address` points to once it is loaded; 0: it is not known.

        What the loader adds stands in its table, else in the variable itself. Raises `BinaryError`.
        """
        table = self.section(b".rela.dyn")
        if table is not None:
            for _, place in self.image.search([_WORD.pack(address)], table.offset, table.size):
                if (place - table.offset) % _RELOCATION.size == 0:
                    _, kind, added = _RELOCATION.unpack(self.image.read(place, _RELOCATION.size))
                    return added if kind in _RELATIVE else 0
        offset = self.file_offset(address)
        return 0 if offset is None else int(_WORD.unpack(self.image.read(offset, _WORD.size))[0])

    def probed_entry(self, function: Function, arguments: frozenset[str] = stepping.C_ARGUMENTS) -> int:
        """Return the file offset of a function's entry for probes: where one costs least.

        All `arguments` are in their registers; the stack may be another already. Raises `BinaryError` where
        there is no such place.
        """
        start = self._start(function)
        if prefixes.is_refused(self.machine, start):
            return function.offset + prefixes.behind_saves(start)
        return self._cheap(function, arguments, stack=False)

    def returning_entry(self, function: Function) -> int | None:
        """Return the same for probes of the entry and the return, for which the stack is as it was.

        None where the kernel probes no such place: there `returns` has the places for the latter.
        """
        if prefixes.is_refused(self.machine, self._start(function)):
            return None
        return self._cheap(function, stepping.C_ARGUMENTS, stack=True)

    def steps_at(self, place: int) -> bool:
        """Say whether a probe at a file offset takes a second trap, for the instruction that it stands on."""
        return self.machine == "x86_64" and not stepping.is_emulated(self.image.read(place, _LONGEST_BRANCH))

    def handed_on(self, function: Function) -> Function | None:
        """Return the function to which this one hands all its arguments at once, if that is what it does."""
        if self.machine != "x86_64" or not 0 < function.size <= _LARGEST_FUNCTION:
            return None
        distance = stepping.handed_on(self._start(function))
        if distance is None or not 0 < function.offset + distance < self.image.size - _LONGEST_START:
            return None
        return Function(function.offset + distance, 0)

    def calls(self, function: Function, other: Function) -> bool:
        """Say whether a function calls another one of the same file."""
        if self.machine != "x86_64" or not 0 < function.size <= _LARGEST_FUNCTION:
            return False
        code = self.image.read(function.offset, function.size)
        return other.offset - function.offset in stepping.jumps_to(code)

    def _start(self, function: Function) -> bytes:
        return self.image.read(function.offset, min(function.size or _LONGEST_START, _LONGEST_START))

    def _cheap(self, function: Function, arguments: frozenset[str], *, stack: bool) -> int:
        """Return the cheapest place for the entry; the entry itself where that is not known."""
        whole = 0 < function.size <= _LARGEST_FUNCTION
        if self.machine != "x86_64" or not self.steps_at(function.offset):
            return function.offset
        code = self.image.read(function.offset, function.size) if whole else self._start(function)
        return function.offset + stepping.cheap_place(code, arguments, stack=stack, whole=whole)

    def returns(self, function: Function) -> tuple[int, ...]:
        """Return the file offsets of the return instructions of a function whose entry is not probed itself.

        Raises `BinaryError` when it returns elsewhere too, or is not understood.
        """
        if not 0 < function.size <= _LARGEST_FUNCTION:
            raise BinaryError(f"a function of {function.size} bytes is not looked through for its returns")
        code = self.image.read(function.offset, function.size)
        return tuple(function.offset + at for at in prefixes.ways_out(code, function.offset))

    def ends(self, function: Function) -> tuple[int, ...]:
        """Return file offsets of which each call passes one or more before it returns: the cheapest.

        Raises `BinaryError` as `returns` does.
        """
        returns = self.returns(function)
        if self.machine != "x86_64":
            return returns
        cheap = stepping.cheap_exits(self.image.read(function.offset, function.size))
        return tuple(function.offset + at for at in cheap) or returns

    def is_go(self) -> bool:
        """Return whether it was made by Go, by its build information. Raises `BinaryError`."""
        return build_info.find(self) is not None

    def section(self, *names: bytes) -> Section | None:
        """Return the first section of one of these names that has bytes in the file."""
        return next((one for one in self.sections if one.name in names and one.kind != _NOBITS), None)

    def function(self, address: int, size: int) -> Function | None:
        """Return the function at an address; None where no code is mapped. A size that lies becomes 0."""
        for load in self.loads:
            if load.executable and load.address <= address < load.address + load.size:
                left = load.address + load.size - address
                offset = address - load.address + load.offset
                return Function(offset, size if size <= left else 0)
        return None

    def file_offset(self, address: int) -> int | None:
        """Return where in the file the byte at `address` comes from; None where it does not."""
        for load in self.loads:
            if load.address <= address < load.address + load.size:
                return address - load.address + load.offset
        return None

    def address(self, offset: int) -> int | None:
        """Return the address at which the file's byte at `offset` is mapped; None where it is not."""
        for load in self.loads:
            if load.offset <= offset < load.offset + load.size:
                return offset - load.offset + load.address
        return None

    def _read_headers(self) -> None:
        if self.image.size < _HEADER.size:
            raise BinaryError(f"is no ELF file: it has {self.image.size} bytes")
        magic, bits, order, machine, segments, sections, *counts = _HEADER.unpack(
            self.image.read(0, _HEADER.size)
        )
        if magic != b"\x7fELF":
            raise BinaryError("is no ELF file: it does not begin like one")
        if bits != 2 or order != 1:
            raise BinaryError("is an ELF file, but not of 64 bits and little endian")
        if machine not in _MACHINES:
            raise BinaryError(f"is for machine {machine}: only x86-64 and arm64 are supported")
        self.machine = _MACHINES[machine]
        segment_size, segment_count, section_size, section_count, names = counts
        self._read_segments(segments, segment_size, segment_count)
        self._read_sections(sections, section_size, section_count, names)

    def _read_segments(self, start: int, stride: int, count: int) -> None:
        if not start or not count:
            return
        if stride != _SEGMENT.size or count == _MANY:
            raise BinaryError(f"has {count} program headers of {stride} bytes, which is not supported")
        table = self.image.read(start, stride * count)
        for kind, flags, offset, address, _, size, memory, _ in _SEGMENT.iter_unpack(table):
            mapped = address + self.image.size < _USER_SPACE and offset + size <= self.image.size
            if kind == _LOAD and size and mapped:
                self.loads.append(Segment(flags, offset, address, size))
            if kind == _THREAD_LOCAL:
                self.thread_local = memory
            if kind == _DYNAMIC:
                self.dynamic = Segment(flags, offset, address, size)
        if len(self.loads) > _MOST_LOADS:
            raise BinaryError(f"has {len(self.loads)} segments to load, more than is believable")

    def _read_sections(self, start: int, stride: int, count: int, names: int) -> None:
        """Read them if they are there: the kernel runs programs without, and so do packers."""
        if not start or stride != _SECTION.size or start + stride > self.image.size:
            return
        first = _SECTION.unpack(self.image.read(start, stride))
        count = count or first[5]  # beyond 65,279 sections the count stands here
        names = first[6] if names == _MANY else names
        if count > _MOST_SECTIONS:
            raise BinaryError(f"has {count} sections, more than is believable")
        if start + stride * count > self.image.size or names >= count:
            return
        headers = list(_SECTION.iter_unpack(self.image.read(start, stride * count)))
        names_offset, names_size = headers[names][4:6]
        texts = self.image.read(names_offset, min(names_size, _LONGEST_NAMES))
        for name, kind, flags, _, offset, size, link, _, _, entry in headers:
            text = texts[name : name + _LONGEST_NAME].partition(b"\0")[0]
            self.sections.append(Section(text, kind, offset, size, link, entry, bool(flags & _COMPRESSED)))

    def _symbols(
        self, table_kind: int, names: Collection[str], kind: int = symbols.FUNCTION
    ) -> list[symbols.Symbol]:
        table = self._symbol_table(table_kind)
        if table is None:
            return []
        hashes = next((one for one in self.sections if one.kind == _GNU_HASH), None)
        if hashes is None or table_kind != _DYNSYM:
            return symbols.find(self.image, table, names, kind)
        hashed = GnuHash(self.image, hashes.offset, hashes.size)
        return symbols.look_up(self.image, table, hashed, names, kind)

    def _symbol_table(self, kind: int) -> symbols.Table | None:
        index = next((index for index, one in enumerate(self.sections) if one.kind == kind), None)
        if index is None:
            return None
        entries = self.sections[index]
        if entries.link >= len(self.sections):
            raise BinaryError(f"the symbols at {entries.offset:#x} have no string table")
        versions = next(
            (one.offset for one in self.sections if one.kind == _VERSIONS and one.link == index), None
        )
        strings = self.sections[entries.link]
        return symbols.Table(
            entries.offset, entries.size, entries.stride, strings.offset, strings.size, versions
        )
