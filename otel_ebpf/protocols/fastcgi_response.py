"""What a FastCGI response says: CGI's head (RFC 3875, section 6.3), in front of the body."""

from __future__ import annotations

from typing import NamedTuple

from otel_ebpf.protocols.fastcgi_records import Kind, records
from otel_ebpf.protocols.http1_fields import declared_length
from otel_ebpf.protocols.http1_head import head_end

_OK, _FOUND = 200, 302
_UNKNOWN = -1


class Answered(NamedTuple):
    """The status (0: there is no response, -1: it cannot be read), and the body's length, -1 if not known."""

    status: int
    body: int


def read_response(data: bytes, passed: int) -> Answered:
    """Read what was captured of a response, of which so many bytes passed."""
    written, ended = [], False
    for kind, _, content, _ in records(data):
        if kind == Kind.STDOUT:
            written.append(content)
        ended = ended or kind == Kind.END_REQUEST
    text = b"".join(written)
    if not text:
        return Answered(0 if ended or not passed else _UNKNOWN, 0 if ended else _UNKNOWN)
    end = head_end(text)
    fields = _fields(text[:end] if end >= 0 else text)
    if end < 0 and not fields:
        return Answered(_UNKNOWN, _UNKNOWN)
    status = _status(fields)
    if end >= 0 and len(data) >= passed:
        return Answered(status, len(text) - end)
    return Answered(status, max(declared_length(b"", fields.get(b"content-length", b"")), _UNKNOWN))


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Read the lines that are whole; the first of a name counts."""
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\n")[:-1]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _status(fields: dict[bytes, bytes]) -> int:
    """Return the status, which need not be said; a Location alone is a redirection (section 6.2.3)."""
    said = fields.get(b"status")
    if said is None:
        return _FOUND if b"location" in fields else _OK
    code = said[:3]
    return int(code) if code.isdigit() and int(code) >= 100 else _UNKNOWN
