"""Whether spans have the parents that they should: each request's path tells its place in the tree.

A request for /walk/7/A/B/C is made by the service that was asked for /walk/7/X/A/B/C; see programs/traces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from integration.harness.spans import CLIENT, SERVER, SeenSpan


@dataclass
class Verdict:
    """How many spans, by service and kind, have the right parent, none where one was due, or a wrong one."""

    right: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"right {dict(self.right)}, missing {dict(self.missing)}, wrong {dict(self.wrong)}"


def judge(spans: Sequence[SeenSpan], edge: str) -> Verdict:
    """Compare with the truth. Spans of the service `edge` have no parent."""
    clients = {(span.port, span.target): span for span in spans if span.kind == CLIENT}
    servers = {_inner(span): span for span in spans if span.kind == SERVER}
    verdict = Verdict()
    for span in spans:
        if span.kind == SERVER:
            due = clients.get((span.port, span.target))
        else:
            due = None if span.service == edge else servers.get((span.service, span.pid, span.target))
        _count(verdict, span, due)
    return verdict


def _inner(span: SeenSpan) -> tuple[str, int, str]:
    """Return the process of a server's span, and what it asks of others on behalf of that request."""
    path, _, query = span.target.partition("?")
    _, name, number, *hops = path.split("/")
    return span.service, span.pid, "/".join(["", name, number, *hops[1:]]) + f"?{query}"


def _count(verdict: Verdict, span: SeenSpan, due: SeenSpan | None) -> None:
    kind = f"{span.service} {'server' if span.kind == SERVER else 'client'}"
    if (span.parent_id, span.trace_id) == ((due.span_id, due.trace_id) if due else ("", span.trace_id)):
        verdict.right[kind] += 1
    elif not span.parent_id:
        verdict.missing[kind] += 1
    else:
        verdict.wrong[kind] += 1


def torn(spans: Iterable[SeenSpan]) -> list[str]:
    """Return the numbers of the requests whose spans are not one trace, or share it with another request."""
    traces_of: dict[str, set[str]] = {}
    for span in spans:
        traces_of.setdefault(span.target.partition("?")[0].split("/")[2], set()).add(span.trace_id)
    requests_of = Counter(trace for traces in traces_of.values() for trace in traces)
    return [
        number
        for number, traces in traces_of.items()
        if len(traces) != 1 or any(requests_of[trace] > 1 for trace in traces)
    ]
