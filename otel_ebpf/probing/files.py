"""What TLS libraries, C library and runtime are in a file. Each is looked into once for each of its versions.

A look opens the file and reads its symbol tables, about a millisecond, and a host that builds software makes
many files: looks are limited in number. A broken file costs a line in the log and no more.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from otel_ebpf.config import Tls
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.libraries import Found
from otel_ebpf.kernel.mappings import Mapping, executable_mappings
from otel_ebpf.kernel.resolvers import may_hold_resolver
from otel_ebpf.kernel.runtimes import Runtime, may_hold_runtime
from otel_ebpf.kernel.tls_libraries import may_hold_tls
from otel_ebpf.probing.unread import Obstacle, broken, excluded, not_attached, not_chosen

__all__ = [
    "FILES_KEPT",
    "File",
    "Files",
    "Look",
    "has_ended",
    "installed",
    "processes",
    "version_of",
    "worth_a_look",
]

logger = logging.getLogger(__name__)

FILES_KEPT: Final = 8192
_LOOKS: Final = 1000
"""Between two calls of `Files.go_on`."""
_LOADERS_LOOK_IN: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_JAVA: Final = "/libjvm.so"

File = tuple[int, int]  # device and inode
Version = tuple[int, int]  # when it was written last, and how long it is


@dataclass(frozen=True, slots=True)
class Look:
    """What a look into a file found: what is to be probed, or why TLS libraries are not."""

    found: tuple[Found, ...] = ()
    obstacle: Obstacle | None = None
    runtime: Runtime | None = None
    not_followed: str = ""
    """Why a runtime that is there cannot be followed."""
    resolver: tuple[Found, ...] = ()


class Files:
    """Looks into files, and remembers what was found."""

    def __init__(self, config: Tls) -> None:
        self._config = config
        self._looked_into: dict[File, tuple[Version | None, Look]] = {}
        self._looks = 0

    def go_on(self) -> None:
        """Allow as many looks again."""
        self._looks = 0

    def look(self, mapping: Mapping) -> Look | None:
        """Look into a file, unless that was done. None where it cannot be now: later, then.

        There were too many looks, or the process by which it is known has ended. Raises `KernelError` that
        `passes` where too many files are open.
        """
        version = version_of(mapping.path)
        before = self._looked_into.get(mapping.file)
        if before is not None and before[0] == version:
            return before[1]
        if version is None or self._looks >= _LOOKS:
            return None
        self._looks += 1
        look = self._look(mapping)
        return look and self._keep(mapping, version, look)

    def tls_in(self, mapping: Mapping) -> tuple[Found, ...]:
        """Return the TLS libraries to be probed in a file; none where it cannot be looked into now."""
        look = self.look(mapping)
        return look.found if look is not None else ()

    def resolver_in(self, mapping: Mapping) -> tuple[Found, ...]:
        """Return the C library to be probed in a file; none where it cannot be looked into now."""
        look = self.look(mapping)
        return look.resolver if look is not None else ()

    def refused(self, mapping: Mapping, error: Exception) -> None:
        """Remember that the file's probes for TLS could not be attached: to try it once is enough."""
        before = self.look(mapping) or Look()
        look = replace(before, found=(), obstacle=not_attached(mapping.name, error))
        self._keep(mapping, version_of(mapping.path), look)

    def resolver_refused(self, mapping: Mapping, _error: Exception) -> None:
        """Remember the same of those for the C library."""
        before = self.look(mapping) or Look()
        self._keep(mapping, version_of(mapping.path), replace(before, resolver=()))

    def _keep(self, mapping: Mapping, version: Version | None, look: Look) -> Look:
        if len(self._looked_into) >= FILES_KEPT:
            self._looked_into.clear()
        self._looked_into[mapping.file] = (version, look)
        return look

    def _look(self, mapping: Mapping) -> Look | None:
        name = mapping.name
        pattern = next((one for one in self._config.exclude if fnmatchcase(name, one)), None)
        try:
            contents = look_into(mapping.path)
        except BinaryError as error:
            if (
                version_of(mapping.path) is None
            ):  # the process has ended meanwhile: that says nothing of the file
                return None
            if pattern is not None:
                return Look((), excluded(name, pattern))
            logger.info("no TLS probes in %s: %s", name, error)
            return Look((), broken(name, error))
        found = contents.tls
        chosen = tuple(one for one in found if one.library in self._config.libraries)
        look = Look((), None, contents.runtime, contents.not_followed, contents.resolver)
        if found and pattern is not None:
            return replace(look, obstacle=excluded(name, pattern))
        if found and not chosen:
            return replace(look, obstacle=not_chosen(name, [one.library for one in found]))
        return replace(look, found=chosen)


_TELLING: Final = (may_hold_tls, may_hold_resolver, may_hold_runtime)


def worth_a_look(pid: int) -> tuple[list[Mapping], bool]:
    """Return a process's executable, libraries that may hold anything of use, and whether it is Java."""
    files, java = [], False
    for number, mapping in enumerate(executable_mappings(pid)):
        java |= mapping.name.endswith(_JAVA)
        if number == 0 or any(may_hold(mapping.name) for may_hold in _TELLING):
            # The executable is mapped first.
            files.append(mapping)
    return files, java


def version_of(path: str) -> Version | None:
    """Return what changes when a file is written to; None if it is gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size)


def installed(names: Iterable[str]) -> list[Mapping]:
    """Return the libraries of these names (globs) where loaders look for them."""
    folders = [*_LOADERS_LOOK_IN, *glob.glob("/lib/*-linux-gnu*"), *glob.glob("/usr/lib/*-linux-gnu*")]
    paths = {
        os.path.realpath(path)
        for folder in folders
        for name in names
        for path in glob.glob(f"{folder}/{name}")
    }
    found = []
    for path in sorted(paths):
        try:
            stat = os.stat(path)
        except OSError:
            continue
        found.append(Mapping(path, path, (stat.st_dev, stat.st_ino)))
    return found


def processes() -> list[int]:
    """Return the ids of all processes, the newest last."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def has_ended(pid: int) -> bool:
    """Say whether a process is gone, or has only not been waited for yet."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False  # it may not be looked at
    return False
