"""HTTP/1 request heads, with a memory of request lines that were read before.

Hot path: part of the budget in `http1.py`. Clients repeat themselves, the request line of an
endpoint and the fields behind it apart, as a client asks many paths with the same fields.
"""

from __future__ import annotations

from typing import NamedTuple

from otel_ebpf.protocols.http1_fields import FieldReader, Fields
from otel_ebpf.protocols.http1_head import request_line, split_target

_ENTRIES_MAX = 1024
_BYTES_MAX = 256


class Asked(NamedTuple):
    """The request line; `version` is "" where it was cut off before its end."""

    method: str
    path: str
    query: str
    authority: str
    version: str


class Heads:
    """Reads request heads, and remembers them: bounded, and emptied when full. For one thread."""

    __slots__ = ("_asked", "_fields", "_reader")

    def __init__(self) -> None:
        self._asked: dict[bytes, Asked] = {}
        self._fields: dict[bytes, Fields] = {}
        self._reader = FieldReader()

    def asked(self, line: bytes) -> Asked | None:
        """Read a request line with its end, or what was captured of it; None if it is none."""
        found = self._asked.get(line)
        if found is not None:
            return found
        parsed = request_line(line)
        if parsed is None:
            return None
        method, target, version = parsed
        path, query, authority = split_target(method, target)
        found = Asked(method, path, query, authority, version)
        if len(line) <= _BYTES_MAX:
            if len(self._asked) >= _ENTRIES_MAX:
                self._asked.clear()
            self._asked[line] = found
        return found

    def fields(self, block: bytes) -> Fields:
        """Read the fields behind the request line, see `http1_fields`. Short heads are remembered whole."""
        found = self._fields.get(block)
        if found is not None:
            return found
        found = self._reader.read(block)
        if found.context is None and len(block) <= _BYTES_MAX:
            if len(self._fields) >= _ENTRIES_MAX:
                self._fields.clear()
            self._fields[block] = found
        return found
