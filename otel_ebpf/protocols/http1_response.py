"""Which responses have a body, and of what length (RFC 9112, section 6.3)."""

from __future__ import annotations

from otel_ebpf.protocols.http1_fields import declared_length
from otel_ebpf.protocols.http1_head import NO_CONTENT, NOT_MODIFIED, SWITCHING_PROTOCOLS


def has_body(method: str, status: int) -> bool:
    """Say whether the response to `method` with `status` may have a body, whatever it declares."""
    if method == "HEAD" or status < 200 or status in (NO_CONTENT, NOT_MODIFIED):
        return False
    return not is_upgrade(method, status)


def is_upgrade(method: str, status: int) -> bool:
    """Say whether another protocol follows this response on the connection."""
    return status == SWITCHING_PROTOCOLS or (method == "CONNECT" and 200 <= status < 300)


def declared_by(head: bytes) -> int:
    """Return the body length that a response head declares, or one of `http1_fields`' constants.

    Hot path: what responses hold changes with every one, so two names are searched for instead.
    """
    lowered = head.lower()
    coding = _field(lowered, b"\ntransfer-encoding:")
    return declared_length(coding, b"" if coding else _field(lowered, b"\ncontent-length:"))


def _field(lowered: bytes, name: bytes) -> bytes:
    start = lowered.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = lowered.find(b"\n", start)
    while end >= 0 and lowered[end + 1 : end + 2] in (b" ", b"\t"):  # folded
        end = lowered.find(b"\n", end + 1)
    return lowered[start:end].strip() if end >= 0 else b""
