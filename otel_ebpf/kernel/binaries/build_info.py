"""What Go writes into each program about how it was built.

Source: debug/buildinfo of Go 1.13 to 1.27.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.binaries.image import Image

if TYPE_CHECKING:
    from otel_ebpf.kernel.binaries.elf import Elf

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_HEADER = 32
_FLAGS = 15
_INLINE = 2
_FARTHEST = 1 << 26
_LONGEST_VERSION = 127


def find(elf: Elf) -> int | None:
    """Return the file offset of the build information; None where there is none.

    By its section, else where the linker puts it: early in the variables. Raises `BinaryError`.
    """
    section = elf.section(b".go.buildinfo")
    places = [(section.offset, section.size)] if section else []
    places += [(load.offset, load.size) for load in elf.loads if load.data]
    for start, size in places:
        for _, place in elf.image.search([_MAGIC], start, min(size, _FARTHEST)):
            if place % _ALIGNMENT == 0:  # of its address, and so of its offset: pages are larger
                return place
    return None


def version(image: Image, offset: int) -> str:
    """Return the version of Go, such as "go1.23.5". Raises `BinaryError`, also below 1.18."""
    header = image.read(offset, _HEADER + 1)
    if not header[_FLAGS] & _INLINE:
        raise BinaryError("was built with a Go older than 1.18, which is not supported")
    length = header[_HEADER]
    if not 0 < length <= _LONGEST_VERSION:
        raise BinaryError(f"its Go version is {length} bytes long: its build information is broken")
    text = image.read(offset + _HEADER + 1, length).decode("utf-8", "replace")
    # "devel go1.24-abcdef Mon Nov ..." and "go1.23.5 X:boringcrypto" are versions too.
    found = next((word for word in text.split() if word.startswith("go1.")), None)
    if found is None:
        raise BinaryError(f"its Go version is {text!a}: its build information is broken")
    return found
