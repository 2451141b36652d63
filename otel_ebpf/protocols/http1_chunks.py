"""Chunked bodies (RFC 9112, section 7.1)."""

from __future__ import annotations

_MAX_SIZE_DIGITS = 15
_HEX = b"0123456789abcdefABCDEF"


def chunk_length(line: bytes) -> int:
    """Read a chunk's first line, with or without its end; -1 if it is none. Extensions are ignored."""
    digits = line.partition(b";")[0].strip(b" \t\r\n")
    if not digits or len(digits) > _MAX_SIZE_DIGITS or digits.translate(None, _HEX):
        return -1
    return int(digits, 16)


def chunked_size(data: bytes, start: int) -> int:
    """Return the size of the body whose first chunk begins at `start`, -1 if it is not whole."""
    total = 0
    while True:
        end = data.find(b"\n", start)
        length = chunk_length(data[start:end]) if end >= 0 else -1
        if length < 0:
            return -1
        if not length:
            return total if _trailer_ends(data, end + 1) else -1
        total += length
        start = end + 1 + length + 2  # the data, and the CRLF behind it


def _trailer_ends(data: bytes, start: int) -> bool:
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            return False
        if not data[start:end].strip(b"\r"):
            return True
        start = end + 1
