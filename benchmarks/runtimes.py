"""What it costs a program to be followed: hits of probes and BPF time a request, and throughput.

    python -m benchmarks.runtimes [--rounds N] [--seconds S] [--quick]

A service of each runtime asks another one for each request, over connections that are kept. Throughput is
that of the agent without `traces.runtimes`, so that the ratio is of this part alone. A hit costs about ten
times as much on a virtual machine as on hardware.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import options
from benchmarks.kernel_statistics import by_name, runs_of, statistics_on, used
from benchmarks.load import Load, finish_wrk, start_wrk
from benchmarks.results import Check, Result, Table, publish
from benchmarks.series import interleave, ratio
from benchmarks.servers import LOAD_CPU, SERVER_CPU, pinned
from benchmarks.tracing import counting_receiver, only_pids, traced, wait_quiet
from integration.harness.go_programs import LOCAL, Build, build
from integration.harness.hops import TRACES
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.proxies import PROXIES

CONNECTIONS = 10
PREFIXES = {"uvloop": ("python", "uvloop")}
"""How the names of a runtime's BPF programs begin, where not as it does. Threads have no probes."""
COLUMNS = ("program", "runs/request", "ns/request")


@dataclass(frozen=True, slots=True)
class Service:
    """A running service that asks another one, and the path by which it does."""

    pids: Sequence[int]
    port: int
    path: str

    def load(self, seconds: int) -> Load:
        """Have wrk ask it."""
        return finish_wrk(start_wrk(self.port, seconds, path=self.path, connections=CONNECTIONS), seconds)


def commands(port: int) -> dict[str, list[str | Path]]:
    """Return how the service of each runtime is started."""
    go = build(TRACES / "go_hop", Build(LOCAL, False))
    uvicorn = [sys.executable, "-m", "uvicorn", "--no-access-log", "--port", str(port), "asyncio_hop:app"]
    return {
        "go": [go, str(port)],
        "python": [*uvicorn, "--loop", "asyncio"],
        "uvloop": [*uvicorn, "--loop", "uvloop"],
        "node": ["node", "node_callbacks_hop.js", str(port)],
        "ruby": ["ruby", "puma_hop.rb", "5", str(port)],
        "threads": [sys.executable, "threaded_hop.py", str(port)],
    }


@contextmanager
def serving(runtime: str) -> Iterator[Service]:
    """Start the service of a runtime, and the one that it asks, which is Go's."""
    port, asked = free_port(), free_port()
    with ExitStack() as stack:
        stack.enter_context(Program(pinned(LOAD_CPU, *commands(asked)["go"]), port=asked))
        if runtime in PROXIES:
            proxy = stack.enter_context(PROXIES[runtime](asked, 1))["kept"]
            for pid in proxy.program.pids:
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {SERVER_CPU})
            yield Service(proxy.program.pids, proxy.port, "/walk/1/x?n=b")
            return
        command = pinned(SERVER_CPU, *commands(port)[runtime])
        program = stack.enter_context(Program(command, port=port, directory=TRACES))
        yield Service(program.pids, port, f"/walk/1/{asked}?n=b")


def configuration(service: Service, followed: bool) -> dict[str, Any]:
    traces: dict[str, Any] = {"runtime_percent": 100000} if followed else {"runtimes": []}
    return {**only_pids(service.pids), "traces": traces}


def rates(service: Service, endpoint: str, chosen: options.Options) -> dict[str, list[float]]:
    """Return requests a second, by variant."""

    def with_agent(followed: bool) -> float:
        with traced(endpoint, configuration(service, followed)):
            return service.load(chosen.seconds).rate

    return interleave(
        {
            "untraced": lambda: service.load(chosen.seconds).rate,
            "not followed": partial(with_agent, False),
            "control": partial(with_agent, False),
            "followed": partial(with_agent, True),
        },
        chosen.rounds,
    )


def programs(service: Service, endpoint: str, seconds: int) -> list[tuple[str, float, float]]:
    """Return each BPF program's runs and nanoseconds a request."""
    with statistics_on(), traced(endpoint, configuration(service, True)) as agent:
        service.load(1)
        wait_quiet(agent.pid)
        before = runs_of(agent.pid)
        requests = service.load(seconds).requests
        wait_quiet(agent.pid)
        spent = by_name(used(before, runs_of(agent.pid)))
    return [(name, one.count / requests, one.nanoseconds / requests) for name, one in sorted(spent.items())]


def measure(runtime: str, chosen: options.Options) -> tuple[list[Check], Table, dict[str, Any]]:
    """Measure one runtime."""
    with counting_receiver() as receiver, serving(runtime) as service:
        rows = programs(service, receiver.endpoint, chosen.seconds)
        taken = rates(service, receiver.endpoint, chosen)
    prefixes = tuple(f"{name}_" for name in PREFIXES.get(runtime, (runtime,)))
    own = [row for row in rows if row[0].startswith(prefixes) and not row[0].startswith("go_tls")]
    followed, control = (ratio(taken[name], taken["not followed"]) for name in ("followed", "control"))
    untraced = ratio(taken["followed"], taken["untraced"])
    return (
        [
            Check(f"{runtime}: hits of probes a request", sum(row[1] for row in own), ""),
            Check(f"{runtime}: BPF time of its probes a request", sum(row[2] for row in own) / 1e3, "us"),
            Check(f"{runtime}: BPF time a request, all of it", sum(row[2] for row in rows) / 1e3, "us"),
            Check(f"{runtime}: throughput, followed", followed, "of not followed", control=control),
            Check(f"{runtime}: throughput, followed", untraced, "of untraced"),
        ],
        Table(f"{runtime}: programs", COLUMNS, [tuple(row) for row in rows]),
        dict(taken),
    )


def main() -> None:
    chosen = options.parse(__doc__, rounds=9, seconds=2)
    checks: list[Check] = []
    tables: list[Table] = []
    samples: dict[str, Any] = {}
    for runtime in (*commands(0), *PROXIES):
        found, table, samples[runtime] = measure(runtime, chosen)
        checks += found
        tables.append(table)
    publish(Result("runtimes", checks, tables, samples), chosen.folder)


if __name__ == "__main__":
    main()
