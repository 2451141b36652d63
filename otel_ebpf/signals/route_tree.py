"""Route templates learned from the paths that a service answered.

A tree of path segments. Values become placeholders at once (`route_segments`); words become
branches. A position under which more than `fanout` different words have been seen is one of
values after all (user names, slugs): its branches are merged into one, `{param}`, for good.

Bounded whatever the paths are: at most `limit` different templates are ever given out, what is
over that is `OVERFLOW`; a branch is made only for a template that is given out, so the tree has at
most `limit * DEEPEST` nodes, with words of at most 64 characters.
"""

from __future__ import annotations

from collections.abc import Sequence

from otel_ebpf.signals.route_segments import placeholder

OVERFLOW = "/{overflow}"
PARAMETER = "{param}"
DEEPEST = 16
LONGEST_PATH = 2048
MOST_FANOUT = 50


class _Node:
    __slots__ = ("merged", "template", "values", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.values: dict[str, _Node] = {}  # by placeholder
        self.merged = False  # every word goes to values[PARAMETER]
        self.template = False  # a route ends here

    def key(self, segment: str, value: str) -> tuple[dict[str, _Node], str]:
        """Return where the branch of `segment`, whose placeholder is `value` or "", belongs."""
        if value:
            return self.values, value
        return (self.values, PARAMETER) if self.merged else (self.words, segment)


class RouteTree:
    """The learned routes of one service. `limit`: how many different ones it may ever give out."""

    def __init__(self, limit: int) -> None:
        self._root = _Node()
        self._limit = limit
        self._fanout = max(2, min(MOST_FANOUT, limit // 4))
        self._given: set[str] = set()
        self.merges = 0
        """How often branches were merged: what was found before may be found otherwise now."""

    def find(self, path: str) -> str:
        """Return the template that `path` fits, if it was learned; else ""."""
        segments = _segments(path)
        node = self._root
        template = []
        for segment in segments:
            branches, key = node.key(segment, placeholder(segment))
            template.append(key)
            found = branches.get(key)
            if found is None:
                return ""
            node = found
        return self._give("/" + "/".join(template)) if segments and node.template else ""

    def learn(self, path: str) -> str:
        """Return the template of `path`, new or known; `OVERFLOW` when there is no room for it."""
        segments = _segments(path)
        if not segments:
            return OVERFLOW
        values = [placeholder(segment) for segment in segments]
        template = self._template(segments, values)
        if template not in self._given and len(self._given) >= self._limit:
            return OVERFLOW
        if self._add(segments, values):
            self._merge_wide(self._root)
            template = self._template(segments, values)
        return self._give(template)

    def _give(self, template: str) -> str:
        if template not in self._given:
            if len(self._given) >= self._limit:
                return OVERFLOW
            self._given.add(template)
        return template

    def _template(self, segments: Sequence[str], values: Sequence[str]) -> str:
        """Return the template as the tree stands, without changing it."""
        node: _Node | None = self._root
        template = []
        for segment, value in zip(segments, values, strict=True):
            if node is None:
                template.append(value or segment)
                continue
            branches, key = node.key(segment, value)
            template.append(key)
            node = branches.get(key)
        return "/" + "/".join(template)

    def _add(self, segments: Sequence[str], values: Sequence[str]) -> bool:
        """Make the branches; return True when some position has become too wide."""
        node = self._root
        wide = False
        for segment, value in zip(segments, values, strict=True):
            branches, key = node.key(segment, value)
            found = branches.get(key)
            if found is None:
                found = branches[key] = _Node()
                wide = wide or len(node.words) > self._fanout
            node = found
        node.template = True
        return wide

    def _merge_wide(self, node: _Node) -> None:
        if len(node.words) > self._fanout:
            self.merges += 1
            target = node.values.setdefault(PARAMETER, _Node())
            for branch in node.words.values():
                _unite(target, branch)
            node.words = {}
            node.merged = True
        for branch in (*node.words.values(), *node.values.values()):
            self._merge_wide(branch)


def _unite(target: _Node, source: _Node) -> None:
    """Move everything under `source` to `target`. As deep as a path may be (`DEEPEST`)."""
    target.template = target.template or source.template
    target.merged = target.merged or source.merged
    for mine, its in ((target.words, source.words), (target.values, source.values)):
        for key, branch in its.items():
            if key in mine:
                _unite(mine[key], branch)
            else:
                mine[key] = branch
    if target.merged and target.words:
        parameter = target.values.setdefault(PARAMETER, _Node())
        for branch in target.words.values():
            _unite(parameter, branch)
        target.words = {}


def _segments(path: str) -> list[str]:
    """Return the segments after the leading slash; none for a path that is too long, deep or odd."""
    if not path.startswith("/") or len(path) > LONGEST_PATH or path.count("/") > DEEPEST:
        return []
    return path[1:].split("/")
