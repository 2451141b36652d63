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
_MODULE_BEGINS = 16
"""Bytes of a mark before the modules, by which the linker finds them."""
_LONGEST_BEGIN = 4096
_LONGEST_NUMBER = 5


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
    length = _version_length(image, offset)
    text = image.read(offset + _HEADER + 1, length).decode("utf-8", "replace")
    # "devel go1.24-abcdef Mon Nov ..." and "go1.23.5 X:boringcrypto" are versions too.
    found = next((word for word in text.split() if word.startswith("go1.")), None)
    if found is None:
        raise BinaryError(f"its Go version is {text!a}: its build information is broken")
    return found


def module_version(image: Image, offset: int) -> str:
    """Return the version of the main module, such as "v1.4.2"; "" where it has none.

    It has one where it was built from a module proxy, or, from Go 1.24 on, from a repository. Of what was
    built from a folder alone the linker says "(devel)". Raises `BinaryError`, also below 1.18.
    """
    at = offset + _HEADER + 1 + _version_length(image, offset)
    length, at = _number(image, at)
    if length <= 2 * _MODULE_BEGINS:
        return ""
    begin = image.read(at + _MODULE_BEGINS, min(length - 2 * _MODULE_BEGINS, _LONGEST_BEGIN))
    for line in begin.split(b"\n"):  # path, mod, dep ..., build ...: each with its words behind a tabulator
        words = line.split(b"\t")
        if words[0] == b"mod" and len(words) > 2:
            return "" if words[2] == b"(devel)" else words[2].decode("utf-8", "replace")
    return ""


def _version_length(image: Image, offset: int) -> int:
    header = image.read(offset, _HEADER + 1)
    if not header[_FLAGS] & _INLINE:
        raise BinaryError("was built with a Go older than 1.18, which is not supported")
    length = header[_HEADER]
    if not 0 < length <= _LONGEST_VERSION:
        raise BinaryError(f"its Go version is {length} bytes long: its build information is broken")
    return length


def _number(image: Image, at: int) -> tuple[int, int]:
    """Return a number of a variable length (encoding/binary, Uvarint), and where it ends."""
    number = 0
    for place, byte in enumerate(image.read(at, min(_LONGEST_NUMBER, max(image.size - at, 0)))):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise BinaryError("a number in its build information does not end")
