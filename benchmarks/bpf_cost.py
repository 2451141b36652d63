"""What the BPF programs cost: time a request by the kernel's statistics, and what bystanders pay.

    python -m benchmarks.bpf_cost [--rounds N] [--seconds S] [--quick]

With nginx alone selected, wrk and the agent on the same processors, and every request exported. A
program's time is summed over all of its runs, those for wrk's and the backend's sockets included.
The statistics cost two clock reads a run, and count a part of that.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import options
from benchmarks.build import compiled
from benchmarks.kernel_statistics import by_name, runs_of, statistics_on, used
from benchmarks.load import warm, wrk
from benchmarks.results import Check, Result, Table, publish
from benchmarks.series import interleave
from benchmarks.servers import LOAD_CPU, Server, nginx, pinned
from benchmarks.tracing import counting_receiver, only_pids, traced, wait_quiet
from integration.harness.agent import Agent, AgentError
from integration.harness.rungs import ALL_RUNGS

LIMITS = {"socket_trace": 1.8}
READ_LIMITS = {"socket_trace": 1.1}
COLUMNS = ("program", "ns/run", "runs/request", "ns/request")


@dataclass(frozen=True, slots=True)
class Round:
    """One run of wrk: by program, how often it ran a request, and nanoseconds a request."""

    requests: int
    runs: dict[str, float]
    nanoseconds: dict[str, float]

    @property
    def total(self) -> float:
        """Microseconds a request."""
        return sum(self.nanoseconds.values()) / 1e3


@contextmanager
def on_rung(rung: str, endpoint: str, config: dict[str, Any]) -> Iterator[Agent | None]:
    """Run the agent on one rung; None where this host does not have it."""
    try:
        tracing = traced(endpoint, config, rung)
        agent = tracing.__enter__()
    except AgentError as error:
        if "cannot be had here" not in str(error):
            raise
        yield None
        return
    try:
        yield agent
    finally:
        tracing.__exit__(None, None, None)


def one_round(server: Server, agent: Agent, seconds: int) -> Round:
    before = runs_of(agent.pid)
    load = wrk(server.port, seconds, tls=server.tls)
    wait_quiet(agent.pid)
    spent = by_name(used(before, runs_of(agent.pid)))
    runs = {name: one.count / load.requests for name, one in spent.items()}
    nanoseconds = {name: one.nanoseconds / load.requests for name, one in spent.items()}
    return Round(load.requests, runs, nanoseconds)


def per_request(rung: str, rounds: int, seconds: int, *, tls: bool = False) -> list[Round]:
    """Measure one rung; nothing where this host does not have it."""
    with (
        counting_receiver() as receiver,
        nginx(tls=tls) as server,
        statistics_on(),
        on_rung(rung, receiver.endpoint, only_pids(server.pids)) as agent,
    ):
        if agent is None:
            return []
        warm(server.port, tls=tls)
        wait_quiet(agent.pid)
        return [one_round(server, agent, seconds) for _ in range(rounds)]


def reads(program: Path) -> dict[str, float]:
    """Return nanoseconds for a 1-byte read of a file and of a pipe."""
    command = [str(word) for word in pinned(LOAD_CPU, program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[str, float] = json.loads(done.stdout)
    return said


def read_series(rung: str, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Time reads with the agent (every process selected) and without, in turn."""
    with compiled("one_byte_reads") as program, counting_receiver() as receiver:

        def with_agent() -> dict[str, float]:
            with traced(receiver.endpoint, {}, rung) as agent:
                wait_quiet(agent.pid)
                return reads(program)

        untraced = partial(reads, program)
        return interleave({"untraced": untraced, "control": untraced, "traced": with_agent}, rounds)


def read_checks(rung: str, series: dict[str, list[dict[str, float]]]) -> list[Check]:
    checks = []
    for kind in ("file", "pipe"):
        base, control, cost = (median(one[kind] for one in taken) for taken in series.values())
        limit = READ_LIMITS.get(rung)
        what = f"{rung}: a 1-byte read of a {kind}"
        checks.append(Check(what, cost / base, "times untraced", limit, control=control / base))
    return checks


def program_table(rung: str, rounds: list[Round]) -> Table:
    names = sorted({name for one in rounds for name in one.nanoseconds})
    rows: list[tuple[str | float, ...]] = []
    for name in names:
        runs = median(one.runs.get(name, 0.0) for one in rounds)
        nanoseconds = median(one.nanoseconds.get(name, 0.0) for one in rounds)
        rows.append((name, nanoseconds / runs if runs else 0.0, runs, nanoseconds))
    rows.append(("all", "", "", median(one.total for one in rounds) * 1e3))
    return Table(f"{rung}: programs, medians of rounds", COLUMNS, rows)


def in_libssl(rounds: list[Round], *, returns: bool) -> float:
    """Return how often a request runs a probe in the library: at entries alone, or at `returns` as well."""
    return median(
        sum(
            count
            for name, count in one.runs.items()
            if name.startswith("tls_") and (returns or "return" not in name)
        )
        for one in rounds
    )


def main() -> None:
    chosen = options.parse(__doc__, rounds=3, seconds=2)
    checks: list[Check] = []
    tables: list[Table] = []
    samples: dict[str, Any] = {}
    for rung in ALL_RUNGS:
        rounds = per_request(rung, chosen.rounds, chosen.seconds)
        if not rounds:
            continue
        total = median(one.total for one in rounds)
        checks.append(Check(f"{rung}: BPF time a request", total, "us", LIMITS.get(rung)))
        tables.append(program_table(rung, rounds))
        series = read_series(rung, chosen.rounds)
        checks += read_checks(rung, series)
        encrypted = per_request(rung, chosen.rounds, chosen.seconds, tls=True)
        for what, returns in (
            ("calls that are followed", False),
            ("runs of probes (entry and return)", True),
        ):
            often = in_libssl(encrypted, returns=returns)
            checks.append(Check(f"{rung}, over TLS: {what} in libssl a request", often, "", None))
        tables.append(program_table(f"{rung}, over TLS", encrypted))
        samples[rung] = {"us_per_request": [one.total for one in rounds], "reads": series}
    publish(Result("bpf_cost", checks, tables, samples), chosen.folder)


if __name__ == "__main__":
    main()
