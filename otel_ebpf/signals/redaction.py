"""What of a URL must not be exported: user information, and the values of secret query keys.

The keys are those of the conventions (url.full, url.query); more can be configured. Keys are
compared case-sensitively, as the conventions say, and after percent-decoding, so that an escaped
letter hides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import unquote_plus

REDACTED = "REDACTED"
REDACTED_USERINFO = f"{REDACTED}:{REDACTED}@"

QUERY_KEYS = frozenset(
    {
        "AWSAccessKeyId",
        "Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Goog-Signature",
        "sig",
    }
)

# Some servers take ";" for a separator too (it was recommended once): a secret behind one is a secret.
_SEPARATORS = re.compile("([&;])")


class Redaction:
    """Redacts query strings. `query` "drop" exports none at all; `query_keys` adds secret keys."""

    def __init__(self, query: Literal["keep", "drop"] = "keep", query_keys: Iterable[str] = ()) -> None:
        self.drop = query == "drop"
        self._keys = QUERY_KEYS.union(query_keys)

    def query(self, query: str) -> str:
        """Return `query` (without "?") fit for export, "" for nothing to export."""
        if self.drop:
            return ""
        if ";" in query:
            return self._redact(query)
        for pair in query.split("&"):
            key, _, _ = pair.partition("=")
            if key in self._keys or "%" in key or "+" in key:
                return self._redact(query)
        return query

    def _redact(self, query: str) -> str:
        parts = _SEPARATORS.split(query)  # pair, separator, pair, ...
        for number in range(0, len(parts), 2):
            key, equals, _ = parts[number].partition("=")
            if equals and (key in self._keys or unquote_plus(key) in self._keys):
                parts[number] = f"{key}={REDACTED}"
        return "".join(parts)
