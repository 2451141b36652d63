"""How sessions found their sockets, as the agent tells it: `ebpf.tls.binding`."""

from __future__ import annotations

from collections import Counter

from integration.harness.backend import Backend

Way = tuple[str, str]
"""Method and outcome."""


def bindings(backend: Backend) -> Counter[Way]:
    """Return the newest sums by method and outcome, over all resources."""
    newest: dict[tuple[str, Way], float] = {}
    for metric in backend.receiver.metrics("ebpf.tls.binding"):
        for point in metric.points:
            way = str(point.attributes["method"]), str(point.attributes["outcome"])
            newest[repr(sorted(metric.resource.items())), way] = point.value
    sums: Counter[Way] = Counter()
    for (_, way), value in newest.items():
        sums[way] += int(value)
    return sums


def outcomes(backend: Backend) -> Counter[str]:
    """Return the same by outcome alone."""
    sums: Counter[str] = Counter()
    for (_, outcome), value in bindings(backend).items():
        sums[outcome] += value
    return sums
