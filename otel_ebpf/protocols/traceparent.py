"""The headers `traceparent` and `tracestate` (W3C Trace Context, level 2)."""

from __future__ import annotations

from typing import NamedTuple

_LENGTH = 55  # of version 00; later versions begin with the same fields
_DIGITS = b"0123456789abcdef"  # upper case is invalid
_STATE_MAX = 512  # characters, which everybody must be able to pass on
_NO_TRACE = bytes(16)
_NO_PARENT = bytes(8)


class TraceParent(NamedTuple):
    """A valid incoming context: ids are never all zero."""

    trace_id: bytes  # 16 bytes
    parent_id: bytes  # 8 bytes
    flags: int


def parse_traceparent(value: bytes) -> TraceParent | None:
    """Read the header's value, without white space around it; None if the standard calls it invalid.

    Version ff is invalid, 00 is exactly 55 characters long, and what a later version appends
    must be set off by a dash (W3C Trace Context, "Versioning of traceparent").
    """
    if len(value) < _LENGTH or value[2:3] != b"-" or value[35:36] != b"-" or value[52:53] != b"-":
        return None
    version = value[:2]
    if len(value) > _LENGTH and (version == b"00" or value[_LENGTH : _LENGTH + 1] != b"-"):
        return None
    trace, parent, flags = value[3:35], value[36:52], value[53:55]
    if version == b"ff" or (version + trace + parent + flags).translate(None, _DIGITS):
        return None
    trace_id, parent_id = bytes.fromhex(trace.decode()), bytes.fromhex(parent.decode())
    if trace_id == _NO_TRACE or parent_id == _NO_PARENT:
        return None
    return TraceParent(trace_id, parent_id, int(flags, 16))


def trace_state(value: bytes) -> str:
    """Return the header's value, of several joined by commas, as spans have it; "" if it is invalid."""
    from opentelemetry.trace.span import TraceState  # noqa: PLC0415 (few who send it, and a megabyte)

    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return TraceState.from_header([text]).to_header() if len(text) <= _STATE_MAX else ""
