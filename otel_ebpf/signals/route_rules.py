"""Users' route rules: patterns such as `/users/{id}`, by service.

- `{name}` stands for one path segment, or a part of one: `/files/{name}.json`, `/{from}..{to}`
  (no more than two in a segment);
- `{name...}` or `**`, at the end, stands for the rest of the path, which may be empty;
- everything else stands for itself, a trailing slash included.

Rules are tried in the order given, and a rule's patterns in theirs; the first that fits wins, and
its text is the route.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*?)(\.\.\.)?\}|(\*\*)$")
_SEGMENT_ENDS = r"(?=/|\Z)"
MOST_PLACEHOLDERS = 2
"""In one segment: the time to refuse a path grows with its length to this power."""


class RouteRule(Protocol):
    """What a rule must have. `service` is a glob for `service.name`, None for every service."""

    @property
    def service(self) -> str | None:
        """Glob, case-sensitive."""

    @property
    def patterns(self) -> Sequence[str]:
        """Patterns, in the order in which they are tried."""


class Rule(NamedTuple):
    """A rule made in code."""

    service: str | None
    patterns: Sequence[str]


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


class RouteRules:
    """All rules, compiled once. Raises ValueError for a pattern that is none."""

    def __init__(self, rules: Iterable[RouteRule] = ()) -> None:
        self._rules = [
            (rule.service, [(compile_pattern(pattern).fullmatch, pattern) for pattern in rule.patterns])
            for rule in rules
        ]

    def of(self, service: str) -> ServiceRules:
        """Return the rules that are for `service` (its service.name)."""
        chosen = []
        for glob, patterns in self._rules:
            if glob is None or fnmatchcase(service, glob):
                chosen += patterns
        return ServiceRules(chosen)


class ServiceRules:
    """The rules of one service."""

    def __init__(self, patterns: Sequence[tuple[_FullMatch, str]]) -> None:
        self._patterns = tuple(patterns)

    def match(self, path: str) -> str:
        """Return the first pattern that `path` fits, "" for none."""
        for fullmatch, pattern in self._patterns:
            if fullmatch(path) is not None:
                return pattern
        return ""


class _FullMatch(Protocol):
    def __call__(self, string: str, /) -> re.Match[str] | None: ...
