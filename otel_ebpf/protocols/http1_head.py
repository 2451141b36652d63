"""HTTP/1 heads (RFC 9112): the request line, the status line, and the few fields that matter.

Hot path: part of the budget in `http1.py`. A head is lower-cased once and searched for the names
that are wanted; it is never split into fields, and no regular expression runs over it.

Leniency follows RFC 9112, sections 2.2 and 3: bare LF, empty lines before the request line and
white space inside a target are taken as a robust recipient takes them.
"""

from __future__ import annotations

from typing import NamedTuple

KNOWN_METHODS = {
    name.encode(): name
    for name in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE")
}
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MAX_METHOD = 32  # the longest registered one has 17 characters
_VERSIONS = {f"HTTP/1.{digit}".encode(): f"1.{digit}" for digit in range(10)}
_STATUS_LINES = {
    f"HTTP/{version} {code}".encode(): code for version in ("1.0", "1.1") for code in range(100, 1000)
}
_AFTER_STATUS = b" \r\n"  # or nothing at all, which is in it too
_USUAL_END = b" HTTP/1.1\r"
_new = tuple.__new__  # without the layer that NamedTuple puts over it: half its cost

SWITCHING_PROTOCOLS = 101
NO_CONTENT = 204
NOT_MODIFIED = 304


class Line(NamedTuple):
    """A request line: `target` is as sent; `version` is "" when the line was cut off before its end."""

    method: str
    target: bytes
    version: str


def head_end(data: bytes, start: int = 0) -> int:
    """Return the position behind the empty line that ends the head begun at `start`, or -1."""
    end = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, end + 1 if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


def request_line(head: bytes) -> Line | None:
    """Read the first line of `head`; None if it is not HTTP/1.

    A line that the capture cuts off gives the target so far. Only what looks like the beginning
    of the version is taken off its end: a cut-off path is the best name there is for the request.
    """
    space = head.find(b" ")
    end = head.find(b"\n") - len(_USUAL_END)
    if end > space + 1 and head.startswith(_USUAL_END, end):
        method = KNOWN_METHODS.get(head[:space])
        if method is not None:
            return _new(Line, (method, head[space + 1 : end], "1.1"))
    return _unusual_line(head.lstrip(b"\r\n"))


def _unusual_line(head: bytes) -> Line | None:
    end = head.find(b"\n")
    name, _, rest = (head[:end] if end >= 0 else head).partition(b" ")
    if not rest or not is_token(name):
        return None
    method = name.decode()
    if end < 0:
        return _cut_off(method, rest)
    target, _, version = rest.rstrip().rpartition(b" ")
    number = _VERSIONS.get(version)
    return Line(method, target, number) if number is not None and target.strip() else None


def _cut_off(method: str, rest: bytes) -> Line | None:
    target, space, version = rest.rstrip(b"\r").rpartition(b" ")
    if space and (b"HTTP/1.".startswith(version) or version in _VERSIONS):
        rest = target
    return Line(method, rest, "") if rest.strip() else None


def is_token(name: bytes) -> bool:
    """Say whether `name` is a token (RFC 9110, section 5.6.2) of a sane length for a method."""
    return 0 < len(name) <= _MAX_METHOD and not name.translate(None, _TOKEN)


def split_target(method: str, target: bytes) -> tuple[str, str, str]:
    """Return (path, query, authority) of a target (RFC 9112, section 3.2) without user information.

    The authority is "" in origin form; the path is "" in authority form (CONNECT).
    """
    text = target.decode("utf-8", "replace")
    if text[:1] == "/":
        if "?" not in text:
            return text, "", ""
        path, _, query = text.partition("?")
        return path, query, ""
    text = text.strip()
    if method == "CONNECT":
        return "", "", text.rpartition("@")[2]
    scheme, colon, rest = text.partition("://")
    if not colon or "/" in scheme or "?" in scheme:
        path, _, query = text.partition("?")
        return path, query, ""
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    return "/" + path if slash else "/", query, authority.rpartition("@")[2]


def status_at(data: bytes, start: int) -> int:
    """Return the status of the response that begins at `start`, 0 if no whole status stands there."""
    if data[start + 12 : start + 13] in _AFTER_STATUS:
        return _STATUS_LINES.get(data[start : start + 12], 0)
    return 0


def is_interim(status: int) -> bool:
    """Say whether a final response is still to come; 101 is final for HTTP/1."""
    return 100 <= status < 200 and status != SWITCHING_PROTOCOLS
