"""The bytes of a file: read where asked, checked against its size, searched in pieces.

Read by pread and not mapped: libraries, unlike running programs, can be cut short by their owner at any
time, and touching a mapped page that is gone is a SIGBUS, which would end the agent. A short pread is an
error like any other. The copy costs 0.2 ms a MiB, and no piece is larger than it has to be.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.errors import PASSING, KernelError

_PIECE = 1 << 18
_LARGEST_READ = 1 << 26
_CALL = 1 << 10
MOST_WORK = 3 << 28
"""In bytes read and, for each needle, searched: 0.3 s of ordinary bytes, 1 s of the worst. Ten names in
Node's 12 MiB of them take a tenth of it. By counting and not by the clock: a busy host changes nothing."""
_MOST_FOUND = 1 << 16


class Image:
    """A regular file, open for reading. `close` it."""

    def __init__(self, path: str | Path, work: int = MOST_WORK) -> None:
        """Open it, to be read and searched for at most `work`.

        Raises `BinaryError` when it cannot be, or is a pipe, a device, a folder.
        Raises `KernelError` when no file could be opened now, which says nothing of this one.
        """
        try:
            # Without O_NONBLOCK, opening a named pipe waits for somebody to write into it.
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in PASSING:
                raise KernelError(f"cannot be opened now: {error}", error.errno) from error
            raise BinaryError(f"cannot be opened: {error}") from error
        self._left = work
        status = os.fstat(self._file)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise BinaryError("is not a regular file")

    def close(self) -> None:
        """Close the file. A second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def spend(self, work: int) -> None:
        """Count work, in bytes. Raises `BinaryError` when this file has had more than any should need."""
        self._left -= work
        if self._left < 0:
            raise BinaryError("takes more work to look through than is believable")

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes from `offset`. Raises `BinaryError` when they are not there."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise BinaryError(f"{size} bytes at {offset:#x} are outside of the file, which has {self.size}")
        if size > _LARGEST_READ:
            raise BinaryError(f"a table of {size} bytes at {offset:#x} is larger than is believable")
        self.spend(size + _CALL)
        try:
            data = os.pread(self._file, size, offset)
        except OSError as error:
            raise BinaryError(f"cannot be read: {error}") from error
        if len(data) != size:
            raise BinaryError(f"ends at {offset + len(data):#x}: it was cut short while it was read")
        return data

    def pieces(self, start: int, size: int, step: int, overlap: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, bytes) of pieces of `step` bytes, and `overlap` more where there are more."""
        end = start + size
        if end > self.size:
            raise BinaryError(f"{size} bytes at {start:#x} are outside of the file, which has {self.size}")
        for offset in range(start, end, step):
            yield offset, self.read(offset, min(step + overlap, end - offset))

    def search(self, needles: Collection[bytes], start: int, size: int) -> Iterator[tuple[bytes, int]]:
        """Yield (needle, file offset) of each place among the `size` bytes from `start`.

        Raises `BinaryError` when that is too much to search, or too much is found.
        """
        if not needles:
            return
        self.spend(size * len(needles))
        found = 0
        for offset, data in self.pieces(start, size, _PIECE, max(map(len, needles)) - 1):
            for needle in needles:
                end = _PIECE + len(needle) - 1  # what begins in the overlap is the next piece's
                place = data.find(needle, 0, end)
                while place >= 0:
                    found += 1
                    if found > _MOST_FOUND:
                        raise BinaryError(f"the names at {start:#x} repeat more than is believable")
                    yield needle, offset + place
                    place = data.find(needle, place + 1, end)
