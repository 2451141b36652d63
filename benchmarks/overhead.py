"""What tracing costs a server: throughput, latency and CPU, with the agent and without.

    python -m benchmarks.overhead [--rounds N] [--seconds S] [--quick]

Traced and untraced rounds alternate in one series. The server has processor 0, wrk processor 1; the
agent and the backend are not pinned and share both. `control` is one untraced series against another.
The agent's CPU counts from `ready` to the end of what it was behind with, its start and stop do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

from benchmarks import options, servers
from benchmarks.load import Load, warm, wrk
from benchmarks.results import Check, Result, Table, publish
from benchmarks.series import interleave, ratio
from benchmarks.servers import Server
from benchmarks.tracing import counting_receiver, cpu_seconds, lost, only, only_pids, traced, wait_quiet
from integration.harness.books import since

UNTRACED, CONTROL = "untraced", "untraced again"
SPANS, METRICS_ONLY, BOTH_SIDES = "spans", "metrics only", "nginx and wrk traced"
NO_NETWORK = "spans, without TCP's health, UDP, lookups and the network's part in requests"
EXCLUDED = "another process is selected"
COLUMNS = (
    "series",
    "requests/s",
    "ratio",
    "p50 ms",
    "p99 ms",
    "server CPU us/request",
    "agent CPU us/request",
    "requests seen",
    "lost",
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A server, how it is called, and the least throughput that each traced series may keep."""

    name: str
    start: Callable[[], AbstractContextManager[Server]]
    limits: Mapping[str, float | None]
    close: bool = False


SCENARIOS = (
    Scenario(
        "nginx",
        servers.nginx,
        {SPANS: 0.85, NO_NETWORK: None, METRICS_ONLY: 0.88, BOTH_SIDES: None, EXCLUDED: None},
    ),
    Scenario("nginx, Connection: close", servers.nginx, {SPANS: 0.97, NO_NETWORK: None}, close=True),
    Scenario("nginx over TLS", partial(servers.nginx, tls=True), {SPANS: None}),
    Scenario("uvicorn", servers.uvicorn, {SPANS: 0.97}),
    Scenario("node", servers.node, {SPANS: None}),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One run of wrk, and what it cost. CPU in seconds; `seen` and `lost` are the agent's own counts."""

    load: Load
    server_cpu: float
    agent_cpu: float = 0.0
    seen: int = 0
    lost: int = 0


def untraced_round(server: Server, seconds: int, close: bool) -> Round:
    warm(server.port, tls=server.tls)
    before = cpu_seconds(*server.pids)
    load = wrk(server.port, seconds, close=close, tls=server.tls)
    return Round(load, cpu_seconds(*server.pids) - before)


def traced_round(
    server: Server, seconds: int, close: bool, endpoint: str, config: Mapping[str, Any]
) -> Round:
    with traced(endpoint, config) as agent:
        warm(server.port, tls=server.tls)
        wait_quiet(agent.pid)
        ledger, agent_before = agent.ledger(), cpu_seconds(agent.pid)
        server_before = cpu_seconds(*server.pids)
        load = wrk(server.port, seconds, close=close, tls=server.tls)
        server_cpu = cpu_seconds(*server.pids) - server_before
        wait_quiet(agent.pid)
        agent_cpu = cpu_seconds(agent.pid) - agent_before
        counted = since(ledger, agent.ledger())
    return Round(load, server_cpu, agent_cpu, counted["signal_seen"], sum(lost(counted).values()))


def configurations(server: Server) -> dict[str, Mapping[str, Any]]:
    """Return how the agent is configured for each traced series."""
    selected = only_pids(server.pids)
    return {
        SPANS: selected,
        NO_NETWORK: {
            **selected,
            "network": {"tcp": {"enabled": False}, "udp": False},
            "dns": {"enabled": False},
            "traces": {"network": False},
        },
        METRICS_ONLY: {**selected, "traces": {"enabled": False}},
        BOTH_SIDES: only("nginx", "wrk"),
        EXCLUDED: only_pids([1]),
    }


def measure(scenario: Scenario, rounds: int, seconds: int) -> dict[str, list[Round]]:
    """Run one series."""
    with counting_receiver() as receiver, scenario.start() as server:
        configured = configurations(server)
        untraced = partial(untraced_round, server, seconds, scenario.close)
        variants: dict[str, Callable[[], Round]] = {UNTRACED: untraced, CONTROL: untraced}
        for name in scenario.limits:
            variants[name] = partial(
                traced_round, server, seconds, scenario.close, receiver.endpoint, configured[name]
            )
        samples = interleave(variants, rounds)
    spans = sum(one.seen for name, taken in samples.items() if name != METRICS_ONLY for one in taken)
    assert receiver.received > 50 * spans * 0.5, "the spans did not reach the backend"
    return samples


def rates(rounds: list[Round]) -> list[float]:
    return [one.load.rate for one in rounds]


def server_costs(rounds: list[Round]) -> list[float]:
    """Return the server's CPU in microseconds a request: what the probes add is charged to it."""
    return [one.server_cpu / one.load.requests * 1e6 for one in rounds]


def checks(scenario: Scenario, samples: Mapping[str, list[Round]]) -> list[Check]:
    def compared(
        name: str, what: str, figures: Callable[[list[Round]], list[float]], limit: float | None
    ) -> Check:
        base = figures(samples[UNTRACED])
        control = ratio(figures(samples[CONTROL]), base)
        value = ratio(figures(samples[name]), base)
        return Check(f"{scenario.name}: {what}, {name}", value, "of untraced", limit, True, control)

    found = []
    for name, limit in scenario.limits.items():
        found.append(compared(name, "throughput", rates, limit))
        found.append(compared(name, "server's CPU a request", server_costs, None))
    return found


def table(scenario: Scenario, samples: Mapping[str, list[Round]]) -> Table:
    base = rates(samples[UNTRACED])
    rows: list[tuple[str | float, ...]] = []
    for name, taken in samples.items():
        requests = sum(one.load.requests for one in taken)
        is_traced = name in scenario.limits
        rows.append(
            (
                name,
                median(rates(taken)),
                ratio(rates(taken), base),
                median(one.load.p50 for one in taken),
                median(one.load.p99 for one in taken),
                median(server_costs(taken)),
                median(one.agent_cpu / one.load.requests * 1e6 for one in taken) if is_traced else "",
                f"{sum(one.seen for one in taken) / requests:.3f}" if is_traced else "",
                sum(one.lost for one in taken) if is_traced else "",
            )
        )
    return Table(f"{scenario.name}: medians of interleaved rounds", COLUMNS, rows)


def main() -> None:
    chosen = options.parse(__doc__, rounds=7, seconds=2)
    result = Result("overhead", [], samples={})
    kept: dict[str, Any] = {}
    for scenario in SCENARIOS:
        samples = measure(scenario, chosen.rounds, chosen.seconds)
        result.checks.extend(checks(scenario, samples))
        result.tables.append(table(scenario, samples))
        kept[scenario.name] = {name: [asdict(one) for one in taken] for name, taken in samples.items()}
    publish(Result(result.name, result.checks, result.tables, kept), chosen.folder)


if __name__ == "__main__":
    main()
