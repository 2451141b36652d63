"""Copies of the OpenSSL that Python uses here, at places where no loader looks: new to every agent."""

from __future__ import annotations

import os
import shutil
import ssl
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integration.harness.build import folder

_HEADER_SECTIONS, _HEADER_COUNT = 0x28, 0x3C
"""In an ELF header: where the section headers stand, and how many they are."""
_SECTION_SIZE = 0x20


@dataclass(frozen=True)
class PrivateLibrary:
    """A folder with one copy of libssl and of what it needs."""

    path: Path
    """libssl's."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of a program that is to load it."""
        return {"LD_LIBRARY_PATH": str(self.path.parent)}

    def upgrade(self) -> None:
        """Put another file in its place, as package managers do: those who use the old one keep it."""
        new = self.path.with_suffix(".new")
        shutil.copy(self.path, new)
        os.replace(new, self.path)

    def spoil(self) -> None:
        """Make it a file that programs can use, and that nobody can understand."""
        spoil(self.path)


@contextmanager
def private_library() -> Iterator[PrivateLibrary]:
    """Make copies; they are removed at the end."""
    with tempfile.TemporaryDirectory(dir=folder(), prefix="library-") as made:
        for library in libraries():
            shutil.copy(library, made)
        yield PrivateLibrary(next(Path(made).glob("libssl.*")))


def libraries() -> list[Path]:
    """Return the files of OpenSSL, which this process has loaded too."""
    assert ssl.OPENSSL_VERSION
    lines = Path("/proc/self/maps").read_text().splitlines()
    files = {Path(words[5]) for words in map(str.split, lines) if len(words) == 6}
    return sorted(file for file in files if file.name.startswith(("libssl.", "libcrypto.")))


def spoil(path: Path) -> None:
    """Let an ELF file claim sections without number, of which neither kernel nor loader reads any."""
    with path.open("r+b") as file:
        header = file.read(64)
        (sections,) = struct.unpack_from("<Q", header, _HEADER_SECTIONS)
        file.seek(_HEADER_COUNT)
        file.write(struct.pack("<H", 0))  # the number is in the first section header then
        file.seek(sections + _SECTION_SIZE)
        file.write(struct.pack("<Q", 1 << 40))
