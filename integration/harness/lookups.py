"""What the backend has of lookups of names, by the name."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from integration.harness.backend import QUIET_SECONDS, Backend
from integration.harness.limits import slack, wait_until
from integration.harness.spans import SeenSpan, describe

__all__ = ["INTERNAL", "check_children", "counted", "lookups", "measured"]

INTERNAL = 1
TITLE = "DNS lookup "


def lookups(backend: Backend, name: str, count: int = 1) -> list[SeenSpan]:
    """Wait for `count` spans of lookups of a name, oldest first, and see that there are no more."""

    def found() -> list[SeenSpan]:
        return [span for span in backend.spans(0, INTERNAL) if span.name == TITLE + name]

    wait_until(lambda: len(found()) >= count)
    time.sleep(slack(QUIET_SECONDS))
    seen = found()
    assert len(seen) == count, f"{count} lookups of {name} were due:\n{describe(backend.spans(0, INTERNAL))}"
    return sorted(seen, key=lambda span: span.start)


def measured(backend: Backend, name: str) -> Counter[str]:
    """Return how many lookups of a name the metric has, by `error.type` ("" for none)."""
    newest: dict[object, tuple[str, int]] = {}
    for metric in backend.receiver.metrics("dns.lookup.duration"):
        resource = tuple(sorted(map(repr, metric.resource.items())))
        for point in metric.points:
            if point.attributes.get("dns.question.name") == name:
                error = str(point.attributes.get("error.type", ""))
                newest[resource, error] = (error, point.count)
    counted: Counter[str] = Counter()
    for error, count in newest.values():
        counted[error] += count
    return counted


def counted(backend: Backend, metric: str) -> int:
    """Return the newest total of a sum about name servers, over all services."""
    newest: dict[object, float] = {}
    for one in backend.receiver.metrics(metric):
        resource = tuple(sorted(map(repr, one.resource.items())))
        for point in one.points:
            assert point.attributes["network.peer.port"] == 53
            newest[resource, str(point.attributes["network.peer.address"])] = point.value
    return int(sum(newest.values()))


def check_children(backend: Backend, served: Iterable[SeenSpan]) -> None:
    """Assert that each of these servers' spans has one lookup, of its `host`, as a child, and within it."""
    for span in served:
        name = span.target.partition("host=")[2].partition("&")[0]
        (lookup,) = lookups(backend, name)
        assert (lookup.trace_id, lookup.parent_id) == (span.trace_id, span.span_id)
        assert span.start <= lookup.start <= lookup.end <= span.end
