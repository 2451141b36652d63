"""What a path segment is: a word of the route, or a value for which a placeholder stands.

| placeholder | a segment that is, in this order                                                  |
| ----------- | -------------------------------------------------------------------------------- |
| `{uuid}`    | a UUID, in braces or not                                                          |
| `{date}`    | 2024-05-31, with or without a time                                                |
| `{id}`      | digits, also with signs, points, commas and colons between them (12, -3, 1.5, 10:30) |
| `{hash}`    | 8 hexadecimal digits and more, digits and letters both (16 and more: either)      |
| `{email}`   | something@domain.tld                                                              |
| `{token}`   | 16 and more of base64's alphabet with capitals, small letters and two digits; an unbroken |
|             | run of 12 and more with letters and three digits; anything over 64 characters; anything |
|             | with a character that a URL's path cannot have                                    |

A segment is judged without its parameters (";jsessionid=...") and with its percent-escapes decoded.
What is not recognised is a word: `v1`, `how-to-build-2-apis`, `caf%C3%A9`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

LONGEST_WORD = 64
TOKEN = "{token}"  # noqa: S105 (a placeholder's name)

_VALUE = re.compile(
    r"""
    (?P<uuid>\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?)
    | (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T _][0-9:.,Z+-]*)?)
    | (?P<id>[-+.,:]{0,2}[0-9][0-9.,:+-]*)
    | (?P<hash>(?:0x)?(?:(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{8,}|[0-9a-f]{16,}))
    | (?P<email>[^@\s]+@[^@\s]+\.[a-z]{2,24})
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_BASE64 = re.compile(r"[A-Za-z0-9_+=.~-]{16,}", re.ASCII)
_RUN = re.compile(r"[A-Za-z0-9]{12,}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]*", re.ASCII)


def placeholder(segment: str) -> str:
    """Return the placeholder that stands for `segment` (without slashes), "" for a word."""
    if len(segment) > LONGEST_WORD or _WORD.fullmatch(segment) is None:
        return _long(segment)
    plain = segment.partition(";")[0]
    if "%" in plain:
        plain = unquote(plain)
    found = _VALUE.fullmatch(plain)
    if found is not None:
        return f"{{{found.lastgroup}}}"
    return TOKEN if _random(plain) else ""


def _long(segment: str) -> str:
    found = _VALUE.fullmatch(segment) if len(segment) <= 1024 else None
    return TOKEN if found is None else f"{{{found.lastgroup}}}"


def _random(segment: str) -> bool:
    for run in _RUN.findall(segment):
        digits = sum(map(str.isdigit, run))
        if 3 <= digits < len(run):
            return True
    if _BASE64.fullmatch(segment) is None:
        return False
    digits = sum(map(str.isdigit, segment))
    return digits >= 2 and segment != segment.lower() and segment != segment.upper()
