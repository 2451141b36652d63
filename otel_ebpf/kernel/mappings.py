"""Files whose code a process has mapped, from /proc/PID/maps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Mapping", "executable_mappings", "times_mapped"]

_BYTES_MAX: Final = 4 << 20  # browsers have a few hundred KiB
_LINE: Final = re.compile(rb"^([0-9a-f]+-[0-9a-f]+) ..x. ([0-9a-f]+) \S+ [1-9]\d* +(/.*)$", re.MULTILINE)


class Mapping(NamedTuple):
    """One file with code in a process."""

    path: str
    """By which the agent can open the very file, though it may be in another root, or deleted."""
    name: str
    """By which the process knows it."""
    file: tuple[int, int]
    """Device and inode."""
    moved: int = 0
    """Address of what would be the file's first byte, were it mapped as a whole."""


def executable_mappings(pid: int) -> Iterator[Mapping]:
    """Yield the files, each once. Of a process that is gone, or not to be looked into: nothing."""
    text, root = _read(pid)
    seen = set()
    for found in _LINE.finditer(text):
        name = found[3].removesuffix(b" (deleted)")
        if name in seen:
            continue
        seen.add(name)
        if name.startswith(root + b"/"):  # in a chroot, what the kernel says is how the agent knows it
            name = name[len(root) :]
        start, end = (int(address, 16) for address in found[1].split(b"-"))
        path = f"/proc/{pid}/map_files/{start:x}-{end:x}"
        try:
            stat = os.stat(path)
        except OSError:  # the mapping is gone, or its link is not for us: by its name then
            if found[3].endswith(b" (deleted)"):  # of that name there is another file, if any
                continue
            path = f"/proc/{pid}/root{os.fsdecode(name)}"
            try:
                stat = os.stat(path)
            except (OSError, ValueError):
                continue
        moved = start - int(found[2], 16)
        yield Mapping(path, os.fsdecode(name), (stat.st_dev, stat.st_ino), moved)


def times_mapped(pid: int, name: str, offset: int) -> int:
    """Return how often a process has mapped the code at an offset of the file that it knows by a name."""
    text, root = _read(pid)
    times = 0
    for found in _LINE.finditer(text):
        if found[3] in (os.fsencode(name), root + os.fsencode(name)):
            start, end = (int(address, 16) for address in found[1].split(b"-"))
            times += 0 <= offset - int(found[2], 16) < end - start
    return times


def _read(pid: int) -> tuple[bytes, bytes]:
    """Return what a process has mapped, and its root; nothing where that may not be known."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as maps:
            text = maps.read(_BYTES_MAX)
        return text, os.readlink(f"/proc/{pid}/root".encode()).rstrip(b"/")
    except OSError:
        return b"", b""
