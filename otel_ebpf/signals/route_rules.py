"""Users' route rules: patterns such as `/users/{id}`, by service.

- `{name}` stands for one path segment, or a part of one: `/files/{name}.json`;
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
    expression: list[str] = []
    position = 0
    for found in _PLACEHOLDER.finditer(pattern):
        expression.append(_literal(pattern, pattern[position : found.start()]))
        position = found.end()
        rest = bool(found[2] or found[3])
        if rest and position != len(pattern):
            raise ValueError(f"route pattern {pattern!r}: {found[0]} stands for the rest, so it must be last")
        expression.append(".*" if rest else "[^/]+")
    expression.append(_literal(pattern, pattern[position:]))
    return re.compile("".join(expression), re.DOTALL)


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
