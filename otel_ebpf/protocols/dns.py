"""Messages of DNS (RFC 1035 section 4), as far as a lookup needs them.

Sans-IO, for hostile bytes, and never raises. What was captured may end anywhere: records that stand whole
before that place are read, and no others are. A pointer in a name goes backwards only, so that each ends.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

__all__ = ["AAAA", "A", "Answer", "Message", "parse_message"]

A: Final = 1
AAAA: Final = 28
INET: Final = 2  # AF_INET
INET6: Final = 10  # AF_INET6
SIZES: Final = {A: (INET, 4), AAAA: (INET6, 16)}

_HEADER: Final = Struct(">HHHHHH")
_QUESTION: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")
_RESPONSE: Final = 0x8000
_OPCODE: Final = 0x7800
_TRUNCATED: Final = 0x0200
_CODE: Final = 0x000F
_POINTER: Final = 0xC0
_NAME_MAX: Final = 255
_RECORDS_MAX: Final = 64
"""Answers that are looked at: with more of them than fit into what is captured, the rest is not there."""


class Answer(NamedTuple):
    """An address: family (AF_INET, AF_INET6), 16 bytes (IPv4 in the first four), seconds that it holds."""

    family: int
    address: bytes
    seconds: int


class Message(NamedTuple):
    """A query for one name, or the response to it."""

    number: int  # its id
    response: bool
    truncated: bool  # the whole is to be had by TCP
    code: int  # RCODE
    name: bytes  # labels with dots between, in lower case; b"" is the root
    kind: int  # QTYPE
    answered: int  # answers that it says it has
    answers: tuple[Answer, ...]  # the addresses among them that were captured


def parse_message(data: bytes) -> Message | None:
    """Return what a message says; None for what is none, or asks anything but one question."""
    if len(data) < _HEADER.size:
        return None
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if questions != 1 or flags & _OPCODE:
        return None
    found = _name(data, _HEADER.size)
    if found is None or len(data) - found[1] < _QUESTION.size:
        return None
    name, at = found
    kind, _ = _QUESTION.unpack_from(data, at)
    response = bool(flags & _RESPONSE)
    addresses = _addresses(data, at + _QUESTION.size, answers) if response else ()
    return Message(number, response, bool(flags & _TRUNCATED), flags & _CODE, name, kind, answers, addresses)


def _name(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the name at a place, and what is behind it there; None where it is not whole."""
    labels: list[bytes] = []
    size, behind, before = 0, 0, at
    while at < len(data):
        length = data[at]
        if length & _POINTER == _POINTER:
            if at + 1 >= len(data):
                return None
            behind = behind or at + 2
            at = (length & ~_POINTER) << 8 | data[at + 1]
            if at >= before:
                return None
            before = at
            continue
        if length & _POINTER:  # reserved
            return None
        if not length:
            return b".".join(labels).lower(), behind or at + 1
        size += 1 + length
        at += 1 + length
        if size >= _NAME_MAX or at > len(data):
            return None
        labels.append(data[at - length : at])
    return None


def _behind_name(data: bytes, at: int) -> int:
    """Return where the name at a place ends, 0 where it does not. What it points to does not matter."""
    while at < len(data):
        length = data[at]
        if length & _POINTER:
            return at + 2 if length & _POINTER == _POINTER else 0
        if not length:
            return at + 1
        at += 1 + length
    return 0


def _addresses(data: bytes, at: int, count: int) -> tuple[Answer, ...]:
    found = []
    for _ in range(min(count, _RECORDS_MAX)):
        at = _behind_name(data, at)
        if not at or len(data) - at < _RECORD.size:
            break
        kind, _, seconds, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if len(data) - at < size:
            break
        family, wanted = SIZES.get(kind, (0, -1))
        if size == wanted:
            found.append(Answer(family, data[at : at + size].ljust(16, b"\0"), seconds))
        at += size
    return tuple(found)
