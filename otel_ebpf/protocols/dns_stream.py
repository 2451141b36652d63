"""Messages of DNS in the pieces of TCP connections (RFC 1035 section 4.2.2): each begins with its length."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from otel_ebpf.kernel.records import Datagram

__all__ = ["Streams"]

_LENGTH: Final = 2
KEPT_BYTES: Final = 2048
"""Of a message: enough for its question, and for more addresses than are told."""
KEPT: Final = 512


class _Side:
    """One direction of a connection. `due` are the bytes that its message lacks; 0: its length, too."""

    __slots__ = ("due", "start")

    def __init__(self) -> None:
        self.due = 0
        self.start = b""

    def feed(self, data: bytes, length: int) -> list[bytes]:
        """Take `length` bytes, of which `data` are the first; return the messages that ended."""
        messages = []
        while length > 0:
            if not self.due:
                wanted = _LENGTH - len(self.start)
                self.start += data[:wanted]
                data, length = data[wanted:], length - wanted
                if len(self.start) < _LENGTH:  # not here yet, or not captured: then all is lost
                    self.start = self.start if length <= 0 else b""
                    break
                self.due = int.from_bytes(self.start, "big")
                self.start = b""
                continue
            here = min(self.due, length)
            self.start = (self.start + data[:here])[:KEPT_BYTES]
            data, length, self.due = data[here:], length - here, self.due - here
            if not self.due:
                messages.append(self.start)
                self.start = b""
        return messages


class Streams:
    """Connections by socket and direction; bounded: who was not heard of for longest is forgotten."""

    def __init__(self, kept: int = KEPT) -> None:
        self._sides: OrderedDict[tuple[int, int], _Side] = OrderedDict()
        self._kept = kept

    def feed(self, record: Datagram) -> list[bytes]:
        """Take a piece; return the messages that ended in it."""
        key = (record.socket, record.direction)
        side = self._sides.pop(key, None)
        if side is None:
            if len(self._sides) >= self._kept:
                self._sides.popitem(last=False)
            side = _Side()
        messages = side.feed(record.data, record.length)
        if side.due or side.start:
            self._sides[key] = side
        return messages
