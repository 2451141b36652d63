"""Processes that live for a moment: every request of theirs arrives, and the agent's memory does not grow.

    python -m benchmarks.churn [--rate N] [--seconds S] [--quick]

Pairs of processes are started by fork and exec; one of a pair serves a single request, which the other makes.
`--rate` is processes a minute. Every span is decoded at the other end: of each process one is due.
Exit status 1 where one is missing, memory grew or the books do not balance.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks import options
from benchmarks.build import compiled
from benchmarks.crowd import Memory, memory_of
from benchmarks.results import Check, Result, Table, publish
from benchmarks.soak import fifths
from benchmarks.tracing import cpu_seconds, lost, only, traced, wait_quiet
from integration.harness.books import imbalances, settled
from integration.harness.spans import CLIENT, SERVER
from tests.otlp_receiver import TRACES, OtlpReceiver, decode_spans

RATE = 20_000
"""Processes a minute."""

GROWTH_LIMIT = 1.05
"""The last fifth of the run against the third: what is kept until metrics leave has been filled by then."""

_GRACE_SECONDS = 60


@dataclass(slots=True)
class Churn:
    """What was done, and what came of it."""

    pairs: int = 0
    processes: int = 0
    """Those that ended well, which both of each pair do where its request was answered."""
    seconds: float = 0.0
    cpu: float = 0.0
    memory: list[Memory] = field(default_factory=list)
    arrived: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Spans by kind and process (`service.instance.id`: the host may give an id of a process again)."""
    unnamed: int = 0
    ledger: dict[str, int] = field(default_factory=dict)

    def missing(self, kind: int) -> int:
        """Return of how many processes no span came, which was due of one in each pair."""
        return self.pairs - sum(1 for of, _ in self.arrived if of == kind)

    @property
    def twice(self) -> int:
        """How many spans came beside the one of each process."""
        return sum(self.arrived.values()) - len(self.arrived)


def churn(rate: float, seconds: int, every: float = 1.0) -> Churn:
    """Start so many processes a minute for so long, beside an agent with the default configuration."""
    found = Churn()
    with (
        compiled("churn") as program,
        OtlpReceiver() as receiver,
        traced(receiver.grpc_endpoint, only("churn")) as agent,
    ):
        before = cpu_seconds(agent.pid)
        command = [str(program), str(rate / 120), str(seconds)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdin is not None
            load.stdin.write("\n")
            load.stdin.flush()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(every)
                found.memory.append(memory_of(agent.pid))
            said, _ = load.communicate(timeout=_GRACE_SECONDS)
        _, told = map(json.loads, said.splitlines())
        found.pairs, found.processes, found.seconds = told["pairs"], told["processes"], told["seconds"]
        wait_quiet(agent.pid)
        found.cpu = cpu_seconds(agent.pid) - before
        found.ledger = settled(agent.ledger)
    for request in receiver.requests(TRACES):
        for span in decode_spans(request.body):
            if span.kind in (CLIENT, SERVER):
                found.arrived[span.kind, str(span.resource.get("service.instance.id"))] += 1
                found.unnamed += span.resource.get("service.name") != "churn"
    return found


def dropped(ledger: dict[str, int]) -> dict[str, int]:
    """Return what was dropped, but for answers that went on after their span had left (a busy host's)."""
    return {name: count for name, count in lost(ledger).items() if name != "protocol_amended"}


def _result(found: Churn) -> Result:
    rate = 60 * 2 * found.pairs / found.seconds
    by_fifth = fifths(found.memory)
    wrong = imbalances(found.ledger)
    checks = [
        Check("processes a minute", rate, ""),
        Check("requests that were not answered", found.pairs - found.processes / 2, "", 0),
        Check("servers of which no span came", found.missing(SERVER), "", 0),
        Check("clients of which no span came", found.missing(CLIENT), "", 0),
        Check("spans too many, or without the service's name", found.twice + found.unnamed, "", 0),
        Check("lost", sum(dropped(found.ledger).values()), "records", 0),
        Check("books that do not balance", len(wrong), "", 0),
        Check("resident memory, last fifth to third", by_fifth[-1] / by_fifth[2], "times", GROWTH_LIMIT),
        Check("most resident memory", max(one.total for one in found.memory), "MB"),
        Check("the agent's CPU", 100 * found.cpu / found.seconds, "% of one"),
        Check("the agent's CPU for each process", 1e6 * found.cpu / (2 * found.pairs), "us"),
    ]
    rows: list[tuple[str | float, ...]] = [(f"{at + 1}", value) for at, value in enumerate(by_fifth)]
    tables = [Table("Median resident memory, by fifth of the run", ("fifth", "MB"), rows)]
    memory = [one.total for one in found.memory]
    samples: dict[str, Any] = {"memory": memory, "lost": dropped(found.ledger), "unbalanced": wrong}
    return Result("churn", checks, tables, samples | {"seconds": found.seconds, "cpu": found.cpu})


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--rate", type=float, default=RATE)
    given, others = parser.parse_known_args()
    chosen = options.parse(__doc__, rounds=1, seconds=300, arguments=others)
    result = _result(churn(given.rate, 5 if chosen.quick else chosen.seconds))
    publish(result, chosen.folder)
    sys.exit(any(check.is_met is False for check in result.checks))


if __name__ == "__main__":
    main()
