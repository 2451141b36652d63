"""One BPF object file: opened, given its constants and shared maps, loaded, attached."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from ctypes import byref, c_uint32
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libbpf import libbpf

_ASIDES = ("processed ", "-- ", "libbpf: failed to load", "verification time", "stack depth")
"""Lines of libbpf and the verifier that do not say why."""

_SK_MSG_VERDICT = 7  # enum bpf_attach_type

OBJECTS = Path(__file__).parent / "objects" / platform.machine()


class BpfObject:
    """An object file and what became of it. `close` detaches and unloads everything.

    Every program is optional in the file (SEC("?...")): `load` is told which ones are wanted.
    """

    def __init__(self, name: str, directory: Path = OBJECTS) -> None:
        """Open `name`.bpf.o. Raises `KernelError` when it is missing or cannot be parsed."""
        self.name = name
        path = directory / f"{name}.bpf.o"
        if not path.exists():
            raise KernelError(f"{path} is missing: build it with `make -C bpf`")
        self._lib = libbpf()
        self._lib.messages.clear()
        try:
            self._constants = _read_only_variables(path)
        except (ELFError, ValueError) as error:
            raise KernelError(f"{path} is no BPF object: {error or 'it is cut short'}") from error
        self._handle = self._lib.pointer("bpf_object__open_file", str(path).encode(), None)
        self.programs = self._named("bpf_object__next_program", "bpf_program__name")
        self.maps = self._named("bpf_object__next_map", "bpf_map__name")
        self._links: dict[str, int] = {}
        self._loaded: set[str] = set()
        self.load_seconds = 0.0

    def _named(self, step: str, name_of: str) -> dict[str, int]:
        found: dict[str, int] = {}
        item = self._lib.next(step, self._handle, None)
        while item is not None:
            found[self._lib.string(name_of, item)] = item
            item = self._lib.next(step, self._handle, item)
        return found

    def set_constants(self, values: Mapping[str, int]) -> None:
        """Write `const volatile` variables; ones that this object does not have are passed over."""
        section = next((handle for name, handle in self.maps.items() if name.endswith(".rodata")), None)
        if section is None:
            return
        image = self._lib.initial_value(section)
        for name, (offset, size) in self._constants.items():
            if name in values:
                image[offset : offset + size] = values[name].to_bytes(size, "little")

    def share(self, shared: Mapping[str, int], entries: Mapping[str, int], values: Mapping[str, int]) -> None:
        """Use the maps that exist already (`shared`: name to fd), and give the others their sizes."""
        for name, handle in self.maps.items():
            if name in shared:
                self._lib.integer("bpf_map__reuse_fd", handle, shared[name])
                continue
            if name in entries:
                self._lib.integer("bpf_map__set_max_entries", handle, entries[name])
            if name in values:
                self._lib.integer("bpf_map__set_value_size", handle, values[name])

    def load(self, programs: set[str], attach_type: int = 0) -> None:
        """Load with these programs. Raises `KernelError` with the verifier's last words.

        `attach_type` is an enum bpf_attach_type, where it is another than their sections say.
        """
        missing = programs - self.programs.keys()
        if missing:
            raise KernelError(f"{self.name} has no program {', '.join(sorted(missing))}")
        for name, handle in self.programs.items():
            self._lib.integer("bpf_program__set_autoload", handle, name in programs)
            if attach_type:
                self._lib.integer("bpf_program__set_expected_attach_type", handle, attach_type)
        started = time.monotonic()
        try:
            self._lib.integer("bpf_object__load", self._handle)
        except KernelError as error:
            raise KernelError(f"{error}: {self.refusal()}", error.code) from error
        self.load_seconds = time.monotonic() - started
        self._loaded = programs

    def attach(self, program: str) -> None:
        """Attach one program by what its section says. Raises `KernelError`."""
        try:
            self._links[program] = self._lib.pointer("bpf_program__attach", self.programs[program])
        except KernelError as error:
            raise KernelError(f"attaching {program}: {error}", error.code) from error

    def attach_cgroup(self, program: str, cgroup: int) -> None:
        """Attach one program to a cgroup, of which `cgroup` is a file descriptor. Raises `KernelError`."""
        try:
            handle = self.programs[program]
            self._links[program] = self._lib.pointer("bpf_program__attach_cgroup", handle, cgroup)
        except KernelError as error:
            raise KernelError(f"attaching {program}: {error}", error.code) from error

    def attach_to_map(self, program: str, sockets: str) -> None:
        """Have a program see what the sockets in a map send, while it is there. Raises `KernelError`."""
        arguments = self.program_fd(program), self.map_fd(sockets), _SK_MSG_VERDICT, 0
        self._lib.integer("bpf_prog_attach", *arguments)

    def call_from(self, programs: int, number: int, program: str) -> None:
        """Put one program into a map for tail calls, of which `programs` is the fd. Raises `KernelError`."""
        key, value = c_uint32(number), c_uint32(self.program_fd(program))
        self._lib.integer("bpf_map_update_elem", programs, byref(key), byref(value), 0)

    def refusal(self) -> str:
        """Return why the kernel refused, in one line, from libbpf's messages."""
        told = [line.strip() for line in self._lib.messages if not line.startswith(_ASIDES)]
        verifier = [line for line in told if line and not line.startswith("libbpf: ")]
        return (verifier or [line.removeprefix("libbpf: ") for line in told] or ["no reason given"])[-1]

    def value_size(self, name: str) -> int:
        """Return the size of a map's values, as the object declares it."""
        return self._lib.integer("bpf_map__value_size", self.maps[name])

    def program_fd(self, name: str) -> int:
        """Return the fd of a loaded program, for running it from user space."""
        return self._lib.integer("bpf_program__fd", self.programs[name])

    def loaded_fds(self) -> list[tuple[str, int]]:
        """Return the names and fds of all its programs that the kernel has."""
        return [(name, self.program_fd(name)) for name in sorted(self._loaded)]

    def attached_fds(self) -> list[int]:
        """Return the fds of the programs that are attached."""
        return [self.program_fd(name) for name in self._links]

    def link_fds(self) -> list[int]:
        """Return the fds by which they are: BPF links, or perf events on older kernels."""
        return [self._lib.integer("bpf_link__fd", link) for link in self._links.values()]

    def map_fd(self, name: str) -> int:
        """Return the fd of a map. It lives as long as this object does."""
        return self._lib.integer("bpf_map__fd", self.maps[name])

    def close(self) -> None:
        """Detach and unload. Maps that another object reuses stay with that object."""
        for link in self._links.values():
            self._lib.integer("bpf_link__destroy", link)
        self._links.clear()
        if self._handle:
            self._lib.close_object(self._handle)
            self._handle = 0


def _read_only_variables(path: Path) -> dict[str, tuple[int, int]]:
    """Return offset and size in .rodata of its global variables, from the symbol table."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        section = elf.get_section_index(".rodata")
        symbols = elf.get_section_by_name(".symtab")
        if section is None or not isinstance(symbols, SymbolTableSection):
            return {}
        return {
            symbol.name: (symbol["st_value"], symbol["st_size"])
            for symbol in symbols.iter_symbols()
            if symbol["st_shndx"] == section and symbol["st_size"]
        }
