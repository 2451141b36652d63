"""Symbols by name, as the loader finds them: .gnu.hash, which linkers make for .dynsym.

A name takes three reads of a file, however many symbols there are: Node's table of 90,000 need not be
searched, which takes 0.1 s while its first requests pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.binaries.image import Image

_HEADER = Struct("<IIII")
_WORD = Struct("<I")
_FILTER_WORD = 8
_PIECE = 16
_LONGEST_CHAIN = 4096


class GnuHash:
    """The section at `offset` of an image; `size` in bytes, unchecked."""

    def __init__(self, image: Image, offset: int, size: int) -> None:
        """Read its header. Raises `BinaryError`."""
        self._image = image
        self._end = offset + size
        self._buckets_count, self._first, filter_words, _ = _HEADER.unpack(image.read(offset, _HEADER.size))
        self._buckets = offset + _HEADER.size + filter_words * _FILTER_WORD
        self._chains = self._buckets + self._buckets_count * _WORD.size
        if not self._buckets_count or self._chains > self._end:
            raise BinaryError(f"the hash table at {offset:#x} is larger than its section")

    def candidates(self, name: bytes) -> Iterator[int]:
        """Yield the indices of the symbols whose name has this one's hash. Raises `BinaryError`."""
        wanted = _hash(name)
        index = self._word(self._buckets + wanted % self._buckets_count * _WORD.size)
        if index < self._first:
            return
        at = self._chains + (index - self._first) * _WORD.size
        for start in range(0, _LONGEST_CHAIN, _PIECE):
            place = at + start * _WORD.size
            piece = self._image.read(place, max(min(_PIECE * _WORD.size, self._end - place), 0))
            if len(piece) < _WORD.size:
                break
            for step, (known,) in enumerate(
                _WORD.iter_unpack(piece[: len(piece) // _WORD.size * _WORD.size])
            ):
                if known | 1 == wanted | 1:
                    yield index + start + step
                if known & 1:  # the last of its bucket
                    return
        raise BinaryError(f"the hash table's chain at {at:#x} has no end")

    def _word(self, offset: int) -> int:
        word: int = _WORD.unpack(self._image.read(offset, _WORD.size))[0]
        return word


def _hash(name: bytes) -> int:
    """Return the hash of a name (Bernstein's, as in glibc's dl_new_hash)."""
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value
