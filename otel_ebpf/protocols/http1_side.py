"""One direction of an HTTP/1 connection in stream mode: where messages end (RFC 9112, section 6).

Bodies are passed over by their length or chunk framing; only heads and chunk lines are looked at.
"""

from __future__ import annotations

from enum import IntEnum

from otel_ebpf.protocols.http1_chunks import chunk_length
from otel_ebpf.protocols.http1_fields import CHUNKED

HEAD_MAX = 8192  # what is kept of a head that arrives in pieces
_LAST_CHUNK = b"0\r\n\r\n"
_LINE_MAX = 1024  # the same of a chunk's first line or a trailer field
_UNKNOWN = -1


class State(IntEnum):
    """What the next byte belongs to."""

    HEAD = 0  # a head, or the white space before it
    SIZED = 1
    CHUNK_LINE = 2
    CHUNK_DATA = 3
    TRAILER = 4
    UNTIL_CLOSE = 5
    DONE = 6  # the message has just ended
    LOST = 7  # unknown, until a piece begins with a head


class Side:
    """How far one direction was followed.

    `body` counts the bytes of the body in progress, -1 once its framing was lost.
    """

    __slots__ = ("body", "buffer", "fresh", "next", "remaining", "state")

    def __init__(self) -> None:
        self.state = State.HEAD
        self.next = -1  # stream offset of the next byte, -1 before the first piece
        self.buffer = b""  # of a head or chunk line that is not complete yet
        self.remaining = 0
        self.body = 0
        self.fresh = True  # no message was found yet: what is unreadable began before the first piece

    @property
    def between(self) -> bool:
        """True between two messages."""
        return self.state is State.HEAD and not self.buffer

    def admit(self, offset: int, length: int) -> tuple[int, int]:
        """Take the next piece's place in the stream: (bytes to skip as seen before, bytes missed)."""
        if self.next < 0:
            self.next = offset
        seen = min(max(self.next - offset, 0), length)
        missed = max(offset - self.next, 0)
        self.next = max(self.next, offset + length)
        return seen, missed

    def lose(self) -> None:
        """Give up following: the next message begins no one knows where."""
        self.state = State.LOST
        self.buffer = b""
        self.body = _UNKNOWN

    def start_body(self, declared: int) -> None:
        """A head has ended; `declared` is its length, CHUNKED, or another negative for until close."""
        self.fresh = False
        self.buffer = b""
        self.body = 0
        self.remaining = 0
        if declared == CHUNKED:
            self.state = State.CHUNK_LINE
        elif declared < 0:
            self.state = State.UNTIL_CLOSE
        else:
            self.remaining = declared
            self.state = State.SIZED if declared else State.DONE

    def pass_over(self, missed: int) -> bool:
        """Skip bytes that were never seen; False when they may have held the message's end."""
        if self.state is State.UNTIL_CLOSE:
            self.body += missed
            return True
        if self.state is State.SIZED and missed <= self.remaining:
            self._skip_sized(missed)
            return True
        if self.state is State.CHUNK_DATA and missed <= self.remaining:
            self._skip_chunk(missed)
            return True
        return False

    def read_body(self, data: bytes, position: int, length: int) -> int:
        """Read on in the body; `data` holds the first bytes of the piece's `length`.

        Returns the position behind what was taken; `state` is DONE at the message's end, LOST
        where framing stood behind the captured bytes or is none.
        """
        step = length - position
        if self.state is State.SIZED:
            step = min(step, self.remaining)
            self._skip_sized(step)
        elif self.state is State.CHUNK_DATA:
            step = min(step, self.remaining)
            self._skip_chunk(step)
        elif self.state is State.UNTIL_CLOSE:
            self.body += step
        elif self.state is not State.LOST:
            return self._read_line(data, position, length)
        return position + step

    def _skip_sized(self, step: int) -> None:
        self.body += step
        self.remaining -= step
        if not self.remaining:
            self.state = State.DONE

    def _skip_chunk(self, step: int) -> None:
        self.remaining -= step
        if not self.remaining:
            self.state = State.CHUNK_LINE

    def _read_line(self, data: bytes, position: int, length: int) -> int:
        end = data.find(b"\n", position)
        if end < 0:
            self.buffer += data[position:]
            if len(data) < length or len(self.buffer) > _LINE_MAX:
                self.lose()
            return length
        line = self.buffer + data[position : end + 1]
        self.buffer = b""
        self._take_line(line)
        return end + 1

    def _take_line(self, line: bytes) -> None:
        if self.state is State.TRAILER:
            if not line.strip(b"\r\n"):
                self.state = State.DONE
            return
        size = chunk_length(line)
        if size < 0:
            self.lose()
        elif size:
            if self.body >= 0:
                self.body += size
            self.remaining = size + 2  # the CRLF behind the data belongs to it
            self.state = State.CHUNK_DATA
        else:
            self.state = State.TRAILER

    def resume_chunks(self, data: bytes, length: int) -> bool:
        """Find the framing of a chunked body again at the start of a piece; True if it was found.

        Only what fits the piece exactly is believed: the last chunk alone, or one whole chunk,
        with the last one behind it or not.
        """
        if length == len(_LAST_CHUNK) and data == _LAST_CHUNK:
            self.state = State.DONE
            return True
        end = data.find(b"\r\n")
        size = chunk_length(data[:end]) if end > 0 else -1
        rest = length - (end + 2 + size + 2)
        if size <= 0 or rest not in (0, len(_LAST_CHUNK)):
            return False
        if rest and len(data) == length and not data.endswith(_LAST_CHUNK):
            return False
        self.remaining = 0
        self.state = State.DONE if rest else State.CHUNK_LINE
        return True
