"""FastCGI's framing (specification 1.0, sections 3.3 and 3.4): records, and pairs of names and values.

Sans-IO, for hostile bytes, and never raises. What was captured may end anywhere: of a record that is cut off
the content so far is given, of a pair nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

HEADER = 8
VERSION = 1
_LONG = 0x80  # the high bit of a length of four bytes


class Kind(IntEnum):
    """Types of records that are looked at."""

    BEGIN_REQUEST = 1
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7


class Record(NamedTuple):
    """One record, or as much of it as there is."""

    kind: int
    request: int  # its number; 0 for the connection itself
    content: bytes
    whole: bool


def records(data: bytes) -> Iterator[Record]:
    """Read one record after the other, up to what is none."""
    at = 0
    while at + HEADER <= len(data) and data[at] == VERSION:
        length = int.from_bytes(data[at + 4 : at + 6], "big")
        start = at + HEADER
        content = data[start : start + length]
        number = int.from_bytes(data[at + 2 : at + 4], "big")
        yield Record(data[at + 1], number, content, len(content) == length)
        at = start + length + data[at + 6]


def pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read names and values, up to one that is cut off."""
    at = 0
    while at < len(data):
        name, at = _length(data, at)
        value, at = _length(data, at)
        middle, end = at + name, at + name + value
        if end > len(data):
            return
        yield data[at:middle], data[middle:end]
        at = end


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return a length, and where it ends; behind the data's end one that is cut off does."""
    short = data[at : at + 1]
    if short and not short[0] & _LONG:
        return short[0], at + 1
    return int.from_bytes(data[at : at + 4], "big") & 0x7FFFFFFF, at + 4
