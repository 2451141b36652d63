"""What a user's route pattern stands for.

- `{name}` stands for one path segment, or a part of one: `/files/{name}.json`, `/{from}..{to}`
  (no more than two in a segment);
- `{name...}` or `**`, at the end, stands for the rest of the path, which may be empty;
- everything else stands for itself, a trailing slash included.

The configuration is checked by it, and `signals.route_rules` matches by it.
"""

from __future__ import annotations

import re

__all__ = ["compile_pattern"]

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*?)(\.\.\.)?\}|(\*\*)$")
_SEGMENT_ENDS = r"(?=/|\Z)"
MOST_PLACEHOLDERS = 2
"""In one segment: the time to refuse a path grows with its length to this power."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return `pattern` as an expression for whole paths.

    Raises ValueError, with what is wrong and what is allowed, for a pattern that is none.
    """
    if not pattern.startswith("/"):
        raise ValueError(f"route pattern {pattern!r} must start with '/'")
    *segments, last = pattern[1:].split("/")
    expressions = [_segment(pattern, segment, False) for segment in segments]
    return re.compile("/" + "/".join([*expressions, _segment(pattern, last, True)]), re.DOTALL)


def _segment(pattern: str, segment: str, last: bool) -> str:
    expression: list[str] = []
    position = 0
    rest = False
    for found in _PLACEHOLDER.finditer(segment):
        expression.append(_literal(pattern, segment[position : found.start()]))
        position = found.end()
        rest = bool(found[2] or found[3])
        if rest and not (last and position == len(segment)):
            raise ValueError(f"route pattern {pattern!r}: {found[0]} stands for the rest, so it must be last")
        expression.append(".*" if rest else "[^/]+?")
    expression.append(_literal(pattern, segment[position:]))
    if len(expression) // 2 > MOST_PLACEHOLDERS:
        raise ValueError(
            f"route pattern {pattern!r}: {segment!r} has more than {MOST_PLACEHOLDERS} placeholders; "
            "between two slashes there may be that many"
        )
    # Atomic, one segment: a hostile path must not make the expression try all combinations.
    return f"(?>{''.join(expression)}{'' if rest else _SEGMENT_ENDS})"


def _literal(pattern: str, text: str) -> str:
    if "{" in text or "}" in text or "**" in text:
        raise ValueError(
            f"route pattern {pattern!r}: {text!r} is not understood; "
            "allowed are {name}, and at the end {name...} or **"
        )
    return re.escape(text)
