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
    """How many spans, by service and kind, have the right parent, none where one was due, or a wrong one.

    Of those that are `lost` neither the span that was due is there, nor the one that is named.
    """

    right: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def orphans(self) -> Counter[str]:
        """The clients' that have no parent, where one was due."""
        return Counter({kind: number for kind, number in self.missing.items() if kind.endswith(" client")})

    def __str__(self) -> str:
        return ", ".join(f"{verdict} {dict(counted)}" for verdict, counted in vars(self).items())


def judge(spans: Sequence[SeenSpan], edge: str, *, translated: bool = False, lossy: bool = False) -> Verdict:
    """Compare with the truth. Spans of the service `edge` have no parent.

    `lossy`: some were lost; without, who names a parent that did not come names a wrong one.

    `translated`: the two ends know a server by different ports, and no service asks two others the same.
    """

    def place(span: SeenSpan) -> tuple[int, str]:
        return 0 if translated else span.port, span.target

    clients = {place(span): span for span in spans if span.kind == CLIENT}
    servers = {_inner(span): span for span in spans if span.kind == SERVER}
    there = {span.span_id for span in spans}
    verdict = Verdict()
    for span in spans:
        kind = f"{span.service} {'server' if span.kind == SERVER else 'client'}"
        is_edge = span.kind == CLIENT and span.service == edge
        if span.kind == SERVER:
            due = clients.get(place(span))
        else:
            due = None if is_edge else servers.get((span.service, span.pid, span.target))
        if (span.parent_id, span.trace_id) == ((due.span_id, due.trace_id) if due else ("", span.trace_id)):
            verdict.right[kind] += 1
        elif not span.parent_id:
            verdict.missing[kind] += 1
        elif lossy and not due and not is_edge and span.parent_id not in there:
            verdict.lost[kind] += 1
        else:
            verdict.wrong[kind] += 1
    return verdict


def _inner(span: SeenSpan) -> tuple[str, int, str]:
    """Return the process of a server's span, and what it asks of others on behalf of that request."""
    path, _, query = span.target.partition("?")
    _, name, number, *hops = path.split("/")
    return span.service, span.pid, "/".join(["", name, number, *hops[1:]]) + f"?{query}"


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
