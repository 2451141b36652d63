"""User-space CPU a span, from the ring buffer to bytes that a backend has accepted over gRPC.

    python -m benchmarks.user_space [--rounds N] [--seconds S] [--quick]

The records are real: wrk calls nginx while the agent's reader is paused, until there are `--seconds`
times 24 MiB of them. Then the agent drains its ring buffer, on one processor with all its threads; the
backend is on the other.
The time is the process's own, of all its threads. A second agent takes other such records one stage
after the other, which says where the time goes (`send` with gRPC's threads).
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks import options
from benchmarks.load import warm
from benchmarks.paused import PausedAgent, export_settings, paused_agent
from benchmarks.results import Check, Result, Table, publish
from benchmarks.servers import LOAD_CPU, SERVER_CPU, Server, nginx
from benchmarks.stages import STAGES, StagedDrain
from benchmarks.tracing import counting_receiver
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.signals.span import Span

LIMIT, RING_LIMIT = 10.0, 0.5
_SIZE = 24 << 20
REQUESTS = {"browser": "browser.lua", "wrk": "report.lua"}
"""Requests with long heads, many paths and trace contexts; and wrk's own, of 40 bytes."""


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain, end to end."""

    spans: int
    microseconds: float  # of CPU time, a span
    rate: float  # spans a second, on one processor


def drain(agent: PausedAgent) -> Drained:
    """Take everything from the ring buffer to the backend, on one processor."""
    passed = agent.ledger.totals()[Entry.EXPORT_PASSED]
    began, used = time.perf_counter(), time.process_time()
    agent.drain()
    agent.wait_exported()
    used, took = time.process_time() - used, time.perf_counter() - began
    spans = agent.ledger.totals()[Entry.EXPORT_PASSED] - passed
    assert spans, "no spans were made"
    return Drained(spans, used / spans * 1e6, spans / took)


def end_to_end(server: Server, script: str, rounds: int, size: int) -> list[Drained]:
    with (
        counting_receiver(LOAD_CPU) as receiver,
        paused_agent(receiver.endpoint, "nginx") as agent,
    ):
        warm(server.port)
        agent.run_for(0.2)
        drained = []
        for _ in range(rounds):
            agent.fill(server, size, script)
            drained.append(_on_one_processor(agent))
    assert receiver.received > 100 * sum(one.spans for one in drained), "the spans did not reach the backend"
    return drained


def _on_one_processor(agent: PausedAgent) -> Drained:
    threads = [int(name) for name in os.listdir("/proc/self/task")]
    everywhere = os.sched_getaffinity(0)
    for thread in threads:
        os.sched_setaffinity(thread, {SERVER_CPU})
    try:
        return drain(agent)
    finally:
        for thread in threads:
            os.sched_setaffinity(thread, everywhere)


def by_stage(server: Server, script: str, rounds: int, size: int) -> list[dict[str, float]]:
    taken = []
    spans: list[Span] = []
    with (
        counting_receiver(LOAD_CPU) as receiver,
        paused_agent(receiver.endpoint, "nginx", spans.append) as agent,
    ):
        warm(server.port)
        agent.run_for(0.2)
        for _ in range(rounds):
            agent.fill(server, size, script)
            spans.clear()
            taken.append(StagedDrain(agent, spans, export_settings(receiver.endpoint)).run())
    return taken


def checks(kind: str, drained: list[Drained], stages: list[dict[str, float]]) -> list[Check]:
    used = median(one.microseconds for one in drained)
    reading = median(one["ring buffer"] for one in stages)
    rate = median(one.rate for one in drained)
    return [
        Check(f"{kind} requests: ring buffer to backend", used, "us/span", LIMIT),
        Check(f"{kind} requests: of it, reading the ring buffer", reading, "us/span", RING_LIMIT),
        Check(f"{kind} requests: rate on one processor", rate, "spans/s"),
    ]


def stage_table(kind: str, stages: list[dict[str, float]]) -> Table:
    rows: list[tuple[str | float, ...]] = [(name, median(one[name] for one in stages)) for name in STAGES]
    rows.append(("all", median(sum(one.values()) for one in stages)))
    return Table(f"{kind} requests: stages, medians of rounds", ("stage", "us/span"), rows)


def main() -> None:
    chosen = options.parse(__doc__, rounds=3, seconds=1)
    found: list[Check] = []
    tables: list[Table] = []
    samples: dict[str, Any] = {}
    size = chosen.seconds * _SIZE
    with nginx() as server:
        for kind, script in REQUESTS.items():
            drained = end_to_end(server, script, chosen.rounds, size)
            stages = by_stage(server, script, chosen.rounds, size)
            found += checks(kind, drained, stages)
            tables.append(stage_table(kind, stages))
            samples[kind] = {"drained": [asdict(one) for one in drained], "stages": stages}
    publish(Result("user_space", found, tables, samples), chosen.folder)


if __name__ == "__main__":
    main()
