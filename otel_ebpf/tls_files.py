"""What TLS libraries are in a file. Each is looked into once for each of its versions.

A look opens the file and reads its symbol tables, about a millisecond, and a host that builds software makes
many files: looks are limited in number. A broken file costs a line in the log and no more.
"""

from __future__ import annotations

import glob
import logging
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from otel_ebpf.config import Tls
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.libraries import Found, may_hold_tls, places
from otel_ebpf.kernel.mappings import Mapping, executable_mappings
from otel_ebpf.tls_unread import Obstacle, broken, excluded, not_attached, not_chosen

__all__ = ["FILES_KEPT", "File", "Look", "TlsFiles", "installed", "processes", "version_of", "worth_a_look"]

logger = logging.getLogger(__name__)

FILES_KEPT: Final = 8192
_LOOKS: Final = 1000
"""Between two calls of `TlsFiles.go_on`."""
_LOADERS_LOOK_IN: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_INSTALLED: Final = ("libssl.so*", "libgnutls.so*", "libnspr4.so*", "libmbedtls.so*", "libwolfssl.so*")
_JAVA: Final = "/libjvm.so"

File = tuple[int, int]  # device and inode
Version = tuple[int, int]  # when it was written last, and how long it is


@dataclass(frozen=True, slots=True)
class Look:
    """What a look into a file found: what is to be probed, or why something is not."""

    found: tuple[Found, ...] = ()
    obstacle: Obstacle | None = None


class TlsFiles:
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

        There were too many looks, or the process by which it is known has ended.
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

    def refused(self, mapping: Mapping, error: Exception) -> None:
        """Remember that the file's probes could not be attached: to try it once is enough."""
        self._keep(mapping, version_of(mapping.path), Look((), not_attached(mapping.name, error)))

    def _keep(self, mapping: Mapping, version: Version | None, look: Look) -> Look:
        if len(self._looked_into) >= FILES_KEPT:
            self._looked_into.clear()
        self._looked_into[mapping.file] = (version, look)
        return look

    def _look(self, mapping: Mapping) -> Look | None:
        name = mapping.name
        pattern = next((one for one in self._config.exclude if fnmatchcase(name, one)), None)
        try:
            found = places(mapping.path)
        except BinaryError as error:
            if (
                version_of(mapping.path) is None
            ):  # the process has ended meanwhile: that says nothing of the file
                return None
            if pattern is not None:
                return Look((), excluded(name, pattern))
            logger.info("no TLS probes in %s: %s", name, error)
            return Look((), broken(name, error))
        if not found:
            return Look()
        if pattern is not None:
            return Look((), excluded(name, pattern))
        chosen = tuple(one for one in found if one.library in self._config.libraries)
        return Look(chosen) if chosen else Look((), not_chosen(name, [one.library for one in found]))


def worth_a_look(pid: int) -> tuple[list[Mapping], bool]:
    """Return a process's executable and those of its libraries that may hold TLS, and whether it is Java."""
    files, java = [], False
    for number, mapping in enumerate(executable_mappings(pid)):
        java |= mapping.name.endswith(_JAVA)
        if number == 0 or may_hold_tls(mapping.name):  # the executable is mapped first
            files.append(mapping)
    return files, java


def version_of(path: str) -> Version | None:
    """Return what changes when a file is written to; None if it is gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size)


def installed() -> list[Mapping]:
    """Return the TLS libraries where loaders look for them."""
    folders = [*_LOADERS_LOOK_IN, *glob.glob("/lib/*-linux-gnu*"), *glob.glob("/usr/lib/*-linux-gnu*")]
    paths = {
        os.path.realpath(path)
        for folder in folders
        for name in _INSTALLED
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
