"""How sessions found their sockets, as the agent tells it: `ebpf.tls.binding`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from integration.harness.backend import Backend
from integration.harness.limits import wait_until
from tests.otlp_receiver import METRICS, ReceivedMetric, decode_metrics

Way = tuple[str, str]
"""Method and outcome."""


class StrangersError(AssertionError):
    """Other sums than were due. They are the host's: strangers are in them until it is decided on them."""


def bindings(backend: Backend) -> Counter[Way]:
    """Return the newest sums by method and outcome, over all resources."""
    return _sums(backend.receiver.metrics("ebpf.tls.binding"))


def settled_bindings(backend: Backend) -> Counter[Way]:
    """Return the sums with all that has happened before the call: those of the next collection.

    Of one agent's, where more than one sends to the backend.
    """
    now, old = time.time_ns(), len(backend.receiver.requests())
    fresh: list[ReceivedMetric] = []

    def has_come() -> bool:
        nonlocal old
        new = backend.receiver.requests(start=old)
        old += len(new)
        for request in new:
            # The ledger is always there; of bindings there is nothing before the first.
            if request.signal == METRICS and request.accepted and b"ebpf.ledger.records" in request.body:
                metrics = decode_metrics(request.body)
                if any(point.time > now for metric in metrics for point in metric.points):
                    fresh.extend(metric for metric in metrics if metric.name == "ebpf.tls.binding")
                    return True
        return False

    assert wait_until(has_come, every=0.1), "the agent sends no metrics"
    return _sums(fresh)


def _sums(metrics: list[ReceivedMetric]) -> Counter[Way]:
    newest: dict[tuple[str, Way], float] = {}
    for metric in metrics:
        for point in metric.points:
            way = str(point.attributes["method"]), str(point.attributes["outcome"])
            newest[repr(sorted(metric.resource.items())), way] = point.value
    sums: Counter[Way] = Counter()
    for (_, way), value in newest.items():
        sums[way] += int(value)
    return sums


def check_bound(backend: Backend, before: Mapping[Way, int], *binds: str, sessions: int) -> None:
    """Check that since `before` so many sessions were bound by each method, verified, and no other was.

    "nested or length" is either: where a library may have received before it is asked, or not.
    """
    after, told, expected = settled_bindings(backend), Counter[Way](), Counter[Way]()
    either = {method: bind for bind in binds for method in bind.split(" or ")}
    for (method, outcome), count in after.items():
        told[either.get(method, method), outcome] += count - before.get((method, outcome), 0)
    for bind in binds:
        expected[bind, "verified"] += sessions
    if +told != expected:
        raise StrangersError(f"{dict(expected)} were due: {dict(+told)}")


def outcomes(backend: Backend) -> Counter[str]:
    """Return the same by outcome alone."""
    sums: Counter[str] = Counter()
    for (_, outcome), value in bindings(backend).items():
        sums[outcome] += value
    return sums
