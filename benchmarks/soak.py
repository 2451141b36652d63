"""Ten minutes under load: the agent's memory must not grow, and its books must balance at the end.

    python -m benchmarks.soak [--seconds S] [--quick]

The load of benchmarks/memory.py: 10,000 connections, each closed and opened anew after 200 requests.
Exit status 1 where memory grew, requests are missing or the books do not balance.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from statistics import median

from benchmarks import options
from benchmarks.crowd import CONNECTIONS, RATE, Crowd, Memory, crowd
from benchmarks.results import Check, Result, Table, publish
from benchmarks.servers import nginx
from benchmarks.tracing import counting_receiver, lost, only_pids, traced
from integration.harness.books import imbalances, settled, since

GROWTH_LIMIT = 1.02
"""The last fifth of the run against the second. (In the first, caches fill.)"""

LIMIT_MB = 90.0
_EVERY = 5.0


def fifths(memory: list[Memory]) -> list[float]:
    """Return the median resident memory of each fifth of the run, in MB."""
    size = len(memory) / 5
    return [
        median(one.total for one in memory[int(at * size) : int((at + 1) * size)] or memory[-1:])
        for at in range(5)
    ]


def measure(connections: int, seconds: int, every: float) -> tuple[Crowd, dict[str, int], list[str]]:
    """Run the load; return it, what it added to the ledger, and which books do not balance."""
    with (
        counting_receiver() as receiver,
        nginx() as server,
        traced(receiver.endpoint, only_pids(server.pids)) as agent,
    ):
        before = agent.ledger()
        with crowd(server, connections, RATE, seconds) as running:
            running.watch(agent.pid, every)
        after = settled(agent.ledger)
        return running, since(before, after), imbalances(after)


def main() -> None:
    chosen = options.parse(__doc__, rounds=1, seconds=600)
    seconds, every = (10, 0.5) if chosen.quick else (chosen.seconds, _EVERY)
    connections = 500 if chosen.quick else CONNECTIONS
    running, counted, wrong = measure(connections, seconds, every)
    by_fifth = fifths(running.memory)
    dropped = sum(lost(counted).values())
    missing = running.requests - counted["signal_seen"] - dropped
    checks = [
        Check("resident memory, last fifth to second", by_fifth[-1] / by_fifth[1], "times", GROWTH_LIMIT),
        Check("most resident memory", max(one.total for one in running.memory), "MB", LIMIT_MB),
        Check("books that do not balance", len(wrong), "", 0),
        Check("requests made", running.requests, ""),
        Check("requests neither seen nor counted as lost", abs(missing), "", 0),
        Check("lost", dropped, "records"),
        Check("rate", running.requests / running.seconds, "requests/s"),
        Check("connections opened anew", running.reopened, ""),
    ]
    rows: list[tuple[str | float, ...]] = [(f"{at + 1}", value) for at, value in enumerate(by_fifth)]
    tables = [Table("Median resident memory, by fifth of the run", ("fifth", "MB"), rows)]
    samples = {
        "every_seconds": every,
        "memory": [asdict(one) for one in running.memory],
        "unbalanced": wrong,
        "lost": lost(counted),
    }
    publish(Result("soak", checks, tables, samples), chosen.folder)
    sys.exit(any(check.is_met is False for check in checks))


if __name__ == "__main__":
    main()
