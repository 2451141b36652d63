"""Which language and runtime a process is in: by its executable, what it has mapped, and its ELF notes."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from otel_ebpf.identity.command import INTERPRETERS, interpreter_of
from otel_ebpf.identity.model import Process
from otel_ebpf.identity.process import ProcDirectory, open_process

__all__ = ["Runtime", "runtime_of", "runtime_of_native"]

MAPS_BYTES = 256 << 10
HEAD_BYTES = 64 << 10

_NAMES = {"python": "cpython", "pypy": "pypy", "node": "nodejs", "beam.smp": "BEAM", "dotnet": ".NET"}
# An ELF note (elf(5), Nhdr): name size 4, any description size, type 4, name "Go": the linker's build id
_GO_NOTE = re.compile(rb"\x04\0\0\0....\x04\0\0\0Go\0\0", re.DOTALL)


class Runtime(NamedTuple):
    """What a process is written in and run by.

    `telemetry.sdk.language` ("unknown" where nothing tells), `process.runtime.name` and
    `process.runtime.version` ("" for none). `program` is the version that the program itself was built with.
    """

    language: str
    name: str = ""
    version: str = ""
    program: str = ""


UNKNOWN = Runtime("unknown")
# A library that is a runtime. Of those that are found, the first in this order: programs embed Python
# (databases, editors) more often than a Java virtual machine or .NET.
_LIBRARIES = (
    (b"/libjvm.so", Runtime("java", "java")),
    (b"/libcoreclr.so", Runtime("dotnet", ".NET")),
    (b"/libnode.so", Runtime("nodejs", "nodejs")),
    (b"/libruby", Runtime("ruby", "ruby")),
    (b"/libphp", Runtime("php", "php")),
    (b"/libpython", Runtime("python", "cpython")),
    (b"/libstdc++.so", Runtime("cpp")),
    (b"/libc++.so", Runtime("cpp")),
)


def runtime_of(process: Process) -> Runtime:
    """Return the runtime. Reads at most 320 KiB of /proc, and only where the executable's name does not tell.

    A C program and a C++ program without its library look alike, and are "unknown".
    """
    interpreter = interpreter_of(process.executable)
    if interpreter:
        language = INTERPRETERS[interpreter]
        return Runtime(language, _NAMES.get(interpreter, os.path.basename(interpreter)))
    directory = open_process(process.visible_pid, process.start)
    if directory is None:
        return UNKNOWN
    with directory as proc:
        return runtime_of_native(proc)


def runtime_of_native(proc: ProcDirectory) -> Runtime:
    """Return the runtime of a process whose executable is not an interpreter by its name."""
    if _GO_NOTE.search(_head(proc)):
        return Runtime("go", "go")
    maps = proc.read("maps", MAPS_BYTES)
    return next((runtime for library, runtime in _LIBRARIES if library in maps), UNKNOWN)


def _head(proc: ProcDirectory) -> bytes:
    """Return the beginning of the executable, where linkers put the notes."""
    file = proc.open_executable()
    if file < 0:
        return b""
    try:
        return os.pread(file, HEAD_BYTES, 0)
    except OSError:
        return b""
    finally:
        os.close(file)
