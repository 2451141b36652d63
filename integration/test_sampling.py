"""OTEL_TRACES_SAMPLER: which requests become spans. The metrics count every one of them."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.go_programs import NEWEST, Build, build
from integration.harness.hops import TRACES, Hops, visitor
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import SERVER
from integration.harness.traces import judge, torn

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENTS = {
    "none": {},
    "unsampled": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"},
    "sampled": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
}

# Sampler, its argument, and the parents under which a span must come.
SAMPLERS = [
    ("always_on", "", {"none", "unsampled", "sampled"}),
    ("always_off", "", set()),
    ("traceidratio", "0", set()),
    ("traceidratio", "1", {"none", "unsampled", "sampled"}),
    ("parentbased_always_on", "", {"none", "sampled"}),
    ("parentbased_always_off", "", {"sampled"}),
    ("parentbased_traceidratio", "0", {"sampled"}),
    ("parentbased_traceidratio", "1", {"none", "sampled"}),
]


@pytest.mark.parametrize(("sampler", "argument", "kept"), SAMPLERS)
def test_sampler(
    start_agent: Callable[..., Traced],
    application: Callable[[str], Server],
    sampler: str,
    argument: str,
    kept: set[str],
) -> None:
    server = application("threaded")
    environment = {"OTEL_TRACES_SAMPLER": sampler}
    if argument:
        environment["OTEL_TRACES_SAMPLER_ARG"] = argument
    rules = {"discovery": {"include": [{"pids": [server.program.pid]}]}}
    traced = start_agent(RUNGS[0], config=rules, environment=environment)
    marks = {name: new_mark() for name in PARENTS}
    for name, headers in PARENTS.items():
        drive(server.port, ["/json"], mark=marks[name], headers=headers)
    spans = traced.backend.expect(len(kept), port=server.port, kind=SERVER)
    assert {span.mark.partition("-")[0] for span in spans} == {marks[name] for name in kept}

    def counted() -> int:
        return traced.backend.histogram_count("http.server.request.duration", lambda metric: True)

    assert wait_until(lambda: counted() >= len(PARENTS)), "the metrics lack requests"
    assert counted() == len(PARENTS)


def test_ratio_keeps_about_its_share(
    start_agent: Callable[..., Traced], application: Callable[[str], Server]
) -> None:
    """One half of 400: by chance outside 150 to 250 once in two million runs."""
    server, total = application("threaded"), 400
    environment = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    rules = {"discovery": {"include": [{"pids": [server.program.pid]}]}}
    traced = start_agent(RUNGS[0], config=rules, environment=environment)
    drive(server.port, ["/json"] * total)
    wait_until(lambda: traced.agent.ledger()["signal_seen"] >= total)
    ledger = traced.agent.ledger()
    assert ledger["signal_span"] + ledger["signal_unsampled"] == total
    spans = traced.backend.expect(ledger["signal_span"], port=server.port, kind=SERVER)
    assert 150 <= len(spans) <= 250


def _told(traced: Traced) -> int:
    """Return how many requests became spans, or did not because of the sampler."""
    ledger = traced.agent.ledger()
    return ledger["signal_span"] + ledger["signal_unsampled"]


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_ratio_keeps_all_of_a_request_or_nothing(start_agent: Callable[..., Traced], sampler: str) -> None:
    """Through threads, Go and asyncio: 8 spans each, and one answer for all of them."""
    total, per_request, mark = 200, 8, new_mark()
    with Hops() as hops:
        one, last = hops("threaded-0"), hops("threaded-1")
        go, loop = hops("go-0", [build(TRACES / "go_hop", Build(NEWEST, True))]), hops("asyncio-0")
        chain = [one, go, loop, last]
        environment = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.5"}
        rules = {"discovery": {"include": [{"ports": [server.port for server in chain]}]}}
        config = {**rules, "traces": {"runtime_percent": 100000}}
        traced = start_agent(RUNGS[0], config=config, environment=environment)
        for server in chain:
            drive(server.port, ["/walk/0"] * 4)
        assert wait_until(lambda: _told(traced) >= 2 * 4 * len(chain))
        before = _told(traced)
        words = visitor(one, f"{go.port}/{loop.port}/{last.port}", mark, total, 10)
        subprocess.run(words, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL)
        assert wait_until(lambda: _told(traced) - before >= total * per_request)
        seen = traced.backend.settled(mark)
    spans_of = Counter(span.target.partition("?")[0].split("/")[2] for span in seen)
    assert set(spans_of.values()) == {per_request}, spans_of
    assert not torn(seen)
    assert not judge(seen, "visitor").missing
    assert 60 <= len(spans_of) <= 140
