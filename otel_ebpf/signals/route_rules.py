"""Users' route rules: patterns such as `/users/{id}` (`route_patterns`), by service.

Rules are tried in the order given, and a rule's patterns in theirs; the first that fits wins, and
its text is the route.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from otel_ebpf.route_patterns import compile_pattern


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

    def before(self, others: ServiceRules) -> ServiceRules:
        """Return these and then others."""
        return ServiceRules((*self._patterns, *others._patterns))

    def match(self, path: str) -> str:
        """Return the first pattern that `path` fits, "" for none."""
        for fullmatch, pattern in self._patterns:
            if fullmatch(path) is not None:
                return pattern
        return ""


class _FullMatch(Protocol):
    def __call__(self, string: str, /) -> re.Match[str] | None: ...
