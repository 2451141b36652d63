"""HTTP/1 request heads, with a memory of those that were read before.

Hot path: part of the budget in `http1.py`. Clients repeat themselves: mostly the head as a whole, but
for its trace context; else the request line of an endpoint, or the fields behind it, as a client asks
many paths with the same fields.
"""

from __future__ import annotations

from typing import NamedTuple

from otel_ebpf.kernel.likeness import context_field
from otel_ebpf.protocols.calls import HttpRequest
from otel_ebpf.protocols.http1_fields import FieldReader, Fields
from otel_ebpf.protocols.http1_head import request_line, split_target

_ENTRIES_MAX = 1024
_HEADS_MAX = 4096
_BYTES_MAX = 256


class WholeHead(NamedTuple):
    """A complete head: what it says, and the body's length as `Fields.declared` has it."""

    request: HttpRequest
    declared: int


class Asked(NamedTuple):
    """The request line; `version` is "" where it was cut off before its end."""

    method: str
    path: str
    query: str
    authority: str
    version: str


class Heads:
    """Reads request heads, and remembers them: bounded, and emptied when full. For one thread."""

    __slots__ = ("_asked", "_fields", "_reader", "_whole")

    def __init__(self) -> None:
        # Heads and fields by their hash, as they hold secrets. Bytes are hashed with 64 bits of SipHash under
        # a key of this process: that two meet is less likely than that a bit of memory flips.
        self._whole: dict[int, WholeHead] = {}
        self._asked: dict[bytes, Asked] = {}
        self._fields: dict[int, Fields] = {}
        self._reader = FieldReader()

    def whole(self, head: bytes, traced: bool) -> WholeHead | None:
        """Read a complete head; None for one that takes a closer look.

        `traced`: the kernel has read its `traceparent`, which is passed over here.
        """
        if traced:
            at, behind = context_field(head, 0, len(head))
            if not at:
                return None
            head = head[:at] + head[behind:]
        key = hash(head)
        return self._whole.get(key) or self._learn(key, head)

    def _learn(self, key: int, head: bytes) -> WholeHead | None:
        line_end = head.find(b"\n")
        asked = self.asked(head[: line_end + 1])
        if asked is None or not asked.version or head[:1] in b"\r\n":
            return None
        method, path, query, authority, version = asked
        sent = self.fields(head[line_end + 1 :])
        if sent.context is not None:  # the kernel has not seen it
            return None
        host = authority or sent.host
        request = HttpRequest(
            method, path, query, host, version, sent.user_agent, sent.forwarded_for, sent.trace_state
        )
        if len(self._whole) >= _HEADS_MAX:
            self._whole.clear()
        found = self._whole[key] = WholeHead(request, sent.declared)
        return found

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
        key = hash(block)
        found = self._fields.get(key)
        if found is not None:
            return found
        found = self._reader.read(block)
        if found.context is None and len(block) <= _BYTES_MAX:
            if len(self._fields) >= _ENTRIES_MAX:
                self._fields.clear()
            self._fields[key] = found
        return found
