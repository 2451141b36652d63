"""The agent's memory with 10,000 open connections, at up to 10,000 requests a second.

    python -m benchmarks.memory [--rounds N] [--seconds S] [--quick]

Every request is exported as a span. `file` memory holds the ring buffer's pages.
"""

from __future__ import annotations

from dataclasses import asdict
from statistics import median

from benchmarks import options
from benchmarks.crowd import CONNECTIONS, RATE, Crowd, crowd
from benchmarks.results import Check, Result, Table, publish
from benchmarks.servers import nginx
from benchmarks.tracing import counting_receiver, lost, only_pids, traced, wait_quiet
from integration.harness.books import since

LIMIT_MB = 90.0
_EVERY = 0.5


def measure(connections: int, rate: int, seconds: int) -> tuple[Crowd, dict[str, int]]:
    """Run the load once; return it and what it added to the ledger."""
    with (
        counting_receiver() as receiver,
        nginx() as server,
        traced(receiver.endpoint, only_pids(server.pids)) as agent,
    ):
        before = agent.ledger()
        with crowd(server, connections, rate, seconds) as running:
            running.watch(agent.pid, _EVERY)
        wait_quiet(agent.pid)
        return running, since(before, agent.ledger())


def main() -> None:
    chosen = options.parse(__doc__, rounds=1, seconds=20)
    connections = 500 if chosen.quick else CONNECTIONS
    runs = [measure(connections, RATE, chosen.seconds) for _ in range(chosen.rounds)]
    memory = [one for running, _ in runs for one in running.memory]
    rate = median(running.requests / running.seconds for running, _ in runs)
    what = f"{connections:,} connections"
    checks = [
        Check(f"{what}: most resident memory", max(one.total for one in memory), "MB", LIMIT_MB),
        Check(f"{what}: requests made", rate, "requests/s"),
        Check(f"{what}: of them seen", sum(c["signal_seen"] for _, c in runs) / _made(runs), ""),
        Check(f"{what}: lost", sum(sum(lost(counted).values()) for _, counted in runs), "records"),
    ]
    parts: list[tuple[str | float, ...]] = [
        ("all", max(one.total for one in memory)),
        ("anonymous", max(one.anonymous for one in memory)),
        ("file", max(one.file for one in memory)),
    ]
    table = Table("Resident memory, by kind", ("kind", "most MB"), parts)
    samples = {"memory": [asdict(one) for one in memory]}
    publish(Result("memory", checks, [table], samples), chosen.folder)


def _made(runs: list[tuple[Crowd, dict[str, int]]]) -> int:
    return sum(running.requests for running, _ in runs)


if __name__ == "__main__":
    main()
