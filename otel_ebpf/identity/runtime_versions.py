"""Which version of its runtime, and of itself, a process is: by the files that it runs; none is run for that.

Each executable is looked into once, by the reader's thread: 0.1 to 3 ms where the file is in memory, as what
is searched is bounded. From then on each process costs an open and a stat more, 10 us to 150 us for the rest.

Source, of each: `Py_Version` (C API, 3.11), `ruby_version` (version.h), `SAPI_PHP_VERSION_HEADER` (SAPI.h),
`process.release` (node_metadata.cc), the `release` file (JEP 223), debug/buildinfo.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from otel_ebpf.identity.model import Process
from otel_ebpf.identity.process import ProcDirectory, open_process
from otel_ebpf.identity.runtime import MAPS_BYTES, Runtime
from otel_ebpf.kernel.binaries import BinaryError, Elf, build_info
from otel_ebpf.kernel.binaries.image import Image
from otel_ebpf.kernel.errors import KernelError

__all__ = ["RuntimeVersions"]

FILES_KEPT = 1024
SEARCHED_BYTES = 16 << 20
WORK = 4 * SEARCHED_BYTES
RELEASE_BYTES = 16 << 10
DIRECTORIES_ABOVE = 5  # from lib/amd64/server up to Java 8's home

_LIBPYTHON = rb"libpython\d\.\d"  # not libpython3.so, which has nothing in it
_LIBRUBY = rb"libruby[-.\d]"
_LIBPHP = rb"libphp[\d.]*\.so"
_File = tuple[int, int, int, int, str]  # device, inode, when it was written last, size; runtime


class RuntimeVersions:
    """Versions by executable, of the last `FILES_KEPT`. For one thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[_File, _Told] = OrderedDict()

    def complete(self, process: Process, runtime: Runtime) -> Runtime:
        """Return a process's runtime with its version, where that can be told. Never raises.

        Of a process that has gone, and whose executable's file is so not known, nothing is told.
        """
        directory = open_process(process.visible_pid, process.start) if runtime.name in _FINDERS else None
        if directory is None:
            return runtime
        with directory as proc:
            return self.of(proc, runtime)

    def of(self, proc: ProcDirectory, runtime: Runtime) -> Runtime:
        """Do the same for a process whose directory is open."""
        file = proc.open_executable()
        if file < 0:
            return runtime
        try:
            told = self._told(_Files(proc, file), runtime.name)
            return runtime._replace(version=told.runtime, program=told.program)
        except (OSError, KernelError):  # no more files may be open: that says nothing of this one
            return runtime
        finally:
            os.close(file)

    def _told(self, files: _Files, name: str) -> _Told:
        about = os.fstat(files.executable)
        key = (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size, name)
        known = self._known.get(key)
        if known is None:
            program = _go_module if name == "go" else None
            known = self._known[key] = _Told(_tried(_FINDERS[name], files), _tried(program, files))
            if len(self._known) > FILES_KEPT:
                self._known.popitem(last=False)
        return known


class _Told(NamedTuple):
    """Versions of the runtime and of the program, "" for unknown."""

    runtime: str
    program: str


def _tried(find: Callable[[_Files], str] | None, files: _Files) -> str:
    try:
        return find(files) if find is not None else ""
    except BinaryError:  # broken, of another machine, or too much to look through
        return ""


class _Files(NamedTuple):
    """The files that a process runs."""

    proc: ProcDirectory
    executable: int

    @property
    def path(self) -> str:
        """Return the executable's path as the process sees it."""
        return self.proc.link("exe")

    def library(self, name: bytes) -> str:
        """Return the path of the first mapped library whose name begins with a pattern, "" for none."""
        maps = self.proc.read("maps", MAPS_BYTES)
        found = re.search(rb" (/[^\n]*/" + name + rb"[^/\n]*)$", maps, re.MULTILINE)
        return os.fsdecode(found.group(1).removesuffix(b" (deleted)")) if found else ""

    @contextmanager
    def elf(self, library: str = "") -> Iterator[Elf | None]:
        """Open the executable, or a library by its path; None for none. Raises `BinaryError`."""
        file = self.proc.open_below_root(library) if library else os.dup(self.executable)
        if file < 0:
            yield None
            return
        try:
            with Elf(f"/proc/self/fd/{file}", WORK) as elf:
                yield elf
        finally:
            os.close(file)

    def elves(self, library: bytes) -> Iterator[Elf]:
        """Yield the executable, then the library, which is only looked for then."""
        with self.elf() as elf:
            if elf is not None:
                yield elf
        if path := self.library(library):
            with self.elf(path) as elf:
                if elf is not None:
                    yield elf


def _variable(elf: Elf, name: str, size: int) -> bytes:
    """Return the first bytes of an exported variable, b"" for none."""
    address = elf.variables([name]).get(name)
    place = elf.file_offset(address) if address is not None else None
    return b"" if place is None else elf.image.read(place, min(size, elf.image.size - place))


def _behind(elf: Elf, text: bytes) -> str:
    """Return the version behind the first such text among the constants, "" for none."""
    constants = elf.section(b".rodata")
    if constants is None:
        return ""
    for _, place in elf.image.search([text], constants.offset, min(constants.size, SEARCHED_BYTES)):
        start = place + len(text)
        found = re.match(rb"\d+\.\d+\.\d+[\w.+-]*", elf.image.read(start, min(32, elf.image.size - start)))
        if found:
            return found.group().decode()
    return ""


def _in_name(files: _Files, library: bytes) -> str:
    """Return the version in the executable's own name, else in the library's: `python3.9` is 3.9."""
    for path in (files.path, files.library(library)):
        found = re.fullmatch(r"[a-z-]+(\d+\.\d+)[a-z]?(\.so[\d.]*)?", os.path.basename(path))
        if found:
            return found.group(1)
    return ""


def _cpython(files: _Files) -> str:
    """From 3.11 on a variable has it whole (PY_VERSION_HEX, apiabiversion.rst)."""
    for elf in files.elves(_LIBPYTHON):
        if len(raw := _variable(elf, "Py_Version", 4)) == 4:
            last, micro, minor, major = raw
            stage = {0xA: "a", 0xB: "b", 0xC: "rc"}.get(last >> 4, "")
            return f"{major}.{minor}.{micro}" + (f"{stage}{last & 15}" if stage else "")
    return _in_name(files, _LIBPYTHON)


def _ruby(files: _Files) -> str:
    for elf in files.elves(_LIBRUBY):
        found = re.match(rb"\d+\.\d+\.\d+(?=\0)", _variable(elf, "ruby_version", 32))
        if found:
            return found.group().decode()
    return _in_name(files, _LIBRUBY)


def _php(files: _Files) -> str:
    for elf in files.elves(_LIBPHP):
        if found := _behind(elf, b"X-Powered-By: PHP/"):
            return found
    return _in_name(files, _LIBPHP)


def _node(files: _Files) -> str:
    """Return that of the archive that it tells as its source; distributions build it without."""
    for elf in files.elves(rb"libnode\.so"):
        if found := _behind(elf, b"/download/release/v"):
            return found
    return ""


def _java(files: _Files) -> str:
    """Read the file that each Java home has; what runs may be `java`, or a program that has loaded it."""
    path = files.path
    if os.path.basename(path) != "java":
        path = files.library(rb"libjvm\.so")
    for _ in range(DIRECTORIES_ABOVE):
        path = os.path.dirname(path)
        release = files.proc.read_below_root(f"{path}/release", RELEASE_BYTES) if len(path) > 1 else b""
        for key in (b"JAVA_RUNTIME_VERSION", b"JAVA_VERSION"):
            found = re.search(rb"^" + key + rb'="([\w.+-]{1,64})"\s*$', release, re.MULTILINE)
            if found:
                return found.group(1).decode()
    return ""


def _dotnet(files: _Files) -> str:
    """Return the name of the runtime's directory; of a program that brings its own, nothing tells."""
    name = os.path.basename(os.path.dirname(files.library(rb"libcoreclr\.so")))
    return name if re.fullmatch(r"\d+\.\d+\.\d+[\w.-]*", name) else ""


def _go(files: _Files) -> str:
    return _built(files, build_info.version)


def _go_module(files: _Files) -> str:
    return _built(files, build_info.module_version)


def _built(files: _Files, told: Callable[[Image, int], str]) -> str:
    with files.elf() as elf:
        place = build_info.find(elf) if elf is not None else None
        return told(elf.image, place) if elf is not None and place is not None else ""


_FINDERS: dict[str, Callable[[_Files], str]] = {
    "cpython": _cpython,
    "ruby": _ruby,
    "php": _php,
    "php-fpm": _php,
    "php-cgi": _php,
    "nodejs": _node,
    "java": _java,
    ".NET": _dotnet,
    "go": _go,
}
"""By `process.runtime.name`."""
