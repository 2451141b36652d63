"""The client's address behind proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For`."""

from __future__ import annotations

_MAX_ADDRESS = 255  # a DNS name is no longer


def forwarded_for(forwarded: bytes, x_forwarded_for: bytes) -> str:
    """Return the address of the first hop, without port and brackets; "" if none is told.

    `unknown` and obfuscated identifiers (RFC 7239, section 6) are not addresses.
    """
    for element in forwarded.partition(b",")[0].split(b";"):
        name, _, value = element.partition(b"=")
        if name.strip().lower() == b"for":
            return _address(value)
    return _address(x_forwarded_for.partition(b",")[0])


def _address(node: bytes) -> str:
    text = node.decode("utf-8", "replace").strip().strip('"').strip()
    if text[:1] == "[":
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if text[:1] == "_" or text.lower() == "unknown" or len(text) > _MAX_ADDRESS:
        return ""
    return text
