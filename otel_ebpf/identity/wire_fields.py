"""Fields of a protobuf message, read without its definition (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from collections.abc import Iterator

from otel_ebpf.identity.watching import SourceError

__all__ = ["fields_of", "text_of"]

_FIXED = {1: 8, 5: 4}  # bytes, by wire type


def fields_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each field that has a length; other fields are passed over.

    Raises `SourceError` where it is no message.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at)
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise SourceError(f"no protobuf message: wire type {kind}")
        if at + length > len(data):
            raise SourceError("a protobuf message that is cut off")
        if kind == 2:
            yield tag >> 3, data[at : at + length]
        at += length


def text_of(data: bytes, number: int) -> str:
    """Return a message's last string of that number, "" for none."""
    found = [value for field, value in fields_of(data) if field == number]
    return found[-1].decode("utf-8", "replace") if found else ""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7
    raise SourceError("a number in a protobuf message that does not end")
