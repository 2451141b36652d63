"""Why requests have no parent, as the metric ebpf.trace.unparented tells it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from integration.conftest import Traced
from integration.harness.build import java_class
from integration.harness.hops import REQUESTS, TRACES, Hops, judged
from integration.harness.limits import wait_until
from integration.harness.servers import Server

# Why is settled in the same place on every rung.
pytestmark = pytest.mark.one_rung

AT_ONCE = 10
PROGRAMS = {
    "answered": ("careless_hop", [sys.executable, "careless_hop.py"]),
    "unknown": ("handing_hop", [sys.executable, "handing_hop.py"]),
    "ambiguous": ("JavaLoopHop", []),
}


@pytest.fixture
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


def _counted(traced: Traced, service: Server) -> dict[str, float]:
    """Return what the last points of this one of its name say, by reason."""
    return {
        point.attributes["reason"]: point.value
        for metric in traced.backend.receiver.metrics("ebpf.trace.unparented")
        if metric.resource.get("process.pid") == service.program.pid
        for point in metric.points
    }


@pytest.mark.parametrize("reason", PROGRAMS)
def test_each_reason(traced: Traced, hop: Hops, reason: str) -> None:
    """A thread that has answered; one that is handed requests; a JVM that is asked much at once.

    Those that ended before the service was known to serve, as its first answers came, are not counted.
    """
    service, command = PROGRAMS[reason]
    words = command or java_class(TRACES / "JavaLoopHop.java")
    one, two, last = hop("threaded-0"), hop(f"{reason}-0", words), hop("threaded-1")
    verdict = judged(traced, one, f"{two.port}/{last.port}", 6, AT_ONCE)
    missing = verdict.orphans[f"{service} client"]
    assert missing == REQUESTS, str(verdict)
    wait_until(lambda: _counted(traced, two).get(reason, 0) >= missing - AT_ONCE)
    told = _counted(traced, two)
    assert list(told) == [reason], told
    assert missing - AT_ONCE <= told[reason] <= missing
