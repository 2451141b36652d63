"""The few header fields that are wanted, found by remembering lines that were read before.

Hot path: part of the budget in `http1.py`. Of the ten or twenty lines of a head all but one or
two have been seen already, byte for byte, and most are not wanted: looking a line up costs a
tenth of reading it. Lines that may carry secrets are read and forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

from otel_ebpf.protocols.http1_forwarded import forwarded_for
from otel_ebpf.protocols.traceparent import TraceParent, parse_traceparent, trace_state

NO_LENGTH = -1  # neither Content-Length nor Transfer-Encoding
CHUNKED = -2
UNDELIMITED = -3  # a transfer coding other than chunked, or an invalid length

_WANTED = frozenset(
    (
        b"host",
        b"user-agent",
        b"forwarded",
        b"x-forwarded-for",
        b"content-length",
        b"transfer-encoding",
        b"traceparent",
        b"tracestate",
        b"expect",
    )
)
_NOT_KEPT = frozenset(  # secrets, and what never comes twice
    (
        b"authorization",
        b"cookie",
        b"proxy-authorization",
        b"traceparent",
        b"tracestate",
        b"x-api-key",
        b"x-auth-token",
        b"x-request-id",
    )
)
_PLAIN = frozenset((b"host", b"user-agent"))
_ENTRIES_MAX = 4096
_BYTES_MAX = 160
_MAX_LENGTH_DIGITS = 18
_SPACES = b" \t\r\n"


class Fields(NamedTuple):
    """The wanted fields, "" for those that are not there."""

    host: str = ""
    user_agent: str = ""
    forwarded_for: str = ""
    declared: int = NO_LENGTH  # the body's length, or one of the negative constants above
    context: TraceParent | None = None
    expects: bool = False  # Expect is there, whatever it says
    trace_state: str = ""


class _Line(NamedTuple):
    """A wanted field: its name in lower case, and its value as bytes and as text."""

    name: bytes
    value: bytes
    text: str


class _FoldedError(Exception):
    """A line that goes on (obs-fold), or ends in a bare LF."""


_UNREAD = _Line(b"", b"", "")


class FieldReader:
    """Reads the fields of heads. For one thread: its memory of lines is bounded, not locked."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[bytes, _Line | None] = {}

    def read(self, block: bytes) -> Fields:
        """Read the fields, from behind the first line up to the empty line or the capture's end.

        A line that the end cuts off counts as none: half a host or half a length is wrong, not
        short. The first of several fields of a name counts, of tracestate all. Never raises.
        """
        lines = block.split(b"\r\n")
        try:
            found = self._find(lines)
        except _FoldedError:
            found = self._find(_unfolded(block))
        if found.keys() <= _PLAIN:
            return Fields(_text(found, b"host"), _text(found, b"user-agent"))
        context = found.get(b"traceparent")
        return Fields(
            _text(found, b"host"),
            _text(found, b"user-agent"),
            forwarded_for(_value(found, b"forwarded"), _value(found, b"x-forwarded-for")),
            declared_length(_value(found, b"transfer-encoding"), _value(found, b"content-length")),
            parse_traceparent(context.value) if context else None,
            b"expect" in found,
            trace_state(found[b"tracestate"].value) if b"tracestate" in found else "",
        )

    def _find(self, lines: list[bytes]) -> dict[bytes, _Line]:
        known = self._lines
        found: dict[bytes, _Line] = {}
        cut_off = lines.pop()
        if cut_off[:1] in (b" ", b"\t") or b"\n" in cut_off:
            raise _FoldedError
        for line in lines:
            wanted = known.get(line, _UNREAD)
            if wanted is _UNREAD:
                wanted = self._learn(line)
            if wanted is not None and found.setdefault(wanted[0], wanted) is not wanted:
                _add(found, wanted)
        return found

    def _learn(self, line: bytes) -> _Line | None:
        if line[:1] in (b" ", b"\t") or b"\n" in line:
            raise _FoldedError
        colon = line.find(b":")
        name = line[:colon].lower() if colon > 0 else b""
        wanted = None
        if name in _WANTED:
            value = line[colon + 1 :].strip(_SPACES)
            wanted = _Line(name, value, value.decode("utf-8", "replace"))
        if len(line) <= _BYTES_MAX and name not in _NOT_KEPT:
            if len(self._lines) >= _ENTRIES_MAX:
                self._lines.clear()
            self._lines[line] = wanted
        return wanted


def _add(found: dict[bytes, _Line], line: _Line) -> None:
    """Take in a further field of a name, if that is a list whose members may be sent apart."""
    name, value, text = line
    if name == b"tracestate":
        _, before, text_before = found[name]
        found[name] = _Line(name, before + b"," + value, f"{text_before},{text}")


def _unfolded(block: bytes) -> list[bytes]:
    """Return the lines with folded ones joined by a space (RFC 9112, section 5.2), the last cut off."""
    lines: list[bytes] = []
    *whole, cut_off = block.split(b"\n")
    for line in whole:
        if line[:1] in (b" ", b"\t") and lines and lines[-1]:
            lines[-1] += b" " + line.strip(_SPACES)
        else:
            lines.append(line.strip(_SPACES))
    if cut_off[:1] in (b" ", b"\t") and lines:
        lines.pop()
    return [*lines, b""]


def _value(found: dict[bytes, _Line], name: bytes) -> bytes:
    line = found.get(name)
    return line.value if line else b""


def _text(found: dict[bytes, _Line], name: bytes) -> str:
    line = found.get(name)
    return line.text if line else ""


def declared_length(transfer_encoding: bytes, content_length: bytes) -> int:
    """Return the declared body length, NO_LENGTH, CHUNKED or UNDELIMITED (RFC 9112, section 6.3)."""
    if transfer_encoding:
        return CHUNKED if transfer_encoding[-7:].lower() == b"chunked" else UNDELIMITED
    value = content_length
    if not value:
        return NO_LENGTH
    if b"," in value:  # the same number repeated is allowed
        numbers = {part.strip() for part in value.split(b",")}
        value = numbers.pop() if len(numbers) == 1 else b""
    return int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else UNDELIMITED
