"""Ways of working, told apart on a host whose speed varies: switched between within one run of wrk.

    python -m benchmarks.switching [--rounds N] [--seconds S] [--quick]

The agent runs in this process, and wrk calls nginx all the time. Every 0.4 s another way of working takes
its turn, in an order drawn anew each time; how many requests were made meanwhile, TCP's own counters say.
`--rounds` is the number of turns of each way divided by ten; the deviation is that of the mean.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from threading import Thread

from benchmarks import options
from benchmarks.load import finish_wrk, start_wrk, warm
from benchmarks.paused import PausedAgent, paused_agent
from benchmarks.results import Check, Result, Table, publish
from benchmarks.servers import LOAD_CPU, SERVER_CPU, nginx
from benchmarks.tracing import counting_receiver
from otel_ebpf.placement import Placement

TURN, SETTLE = 0.4, 0.1
"""Seconds of a turn, and how many at its start do not count."""

READ_ONLY, ANYWHERE, BESIDE = "reads, and throws away", "any processor", "not on the server's processor"
COUNTERS = {"keep-alive": "InSegs", "Connection: close": "PassiveOpens"}


def tcp_counter(name: str) -> int:
    """Return a counter of TCP (/proc/net/snmp)."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:")
    )
    return int(values[names.index(name)])


class Still(Placement):
    """Moves nothing: here that is what is switched."""

    def settle(self) -> None:
        """Do nothing."""


class SwitchedAgent(PausedAgent):
    """An agent that can be told to throw away what it reads."""

    discards = False

    def _take_batch(self) -> int:
        if self.discards:
            return len(self._ring.read(1 << 18)[1])
        return super()._take_batch()


@dataclass
class Switching:
    """Takes the turns in a thread of its own. `rates` are what the counter did a second, by way."""

    agent: SwitchedAgent
    counter: str
    turns: int
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> None:
        """Take every turn, and stop the agent's run."""
        ways = [READ_ONLY, ANYWHERE, BESIDE] * self.turns
        random.shuffle(ways)
        for way in ways:
            self.agent.discards = way == READ_ONLY
            allowed = {SERVER_CPU, LOAD_CPU} if way != BESIDE else {LOAD_CPU}
            for task in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(task), allowed)
            time.sleep(SETTLE)
            before, began = tcp_counter(self.counter), time.monotonic()
            time.sleep(TURN - SETTLE)
            rate = (tcp_counter(self.counter) - before) / (time.monotonic() - began)
            self.rates[way].append(rate)
        self.agent.stopping = True


def measure(counter: str, turns: int, close: bool) -> dict[str, list[float]]:
    """Run one load; return the samples of each way."""
    seconds = int(3 * turns * TURN) + 3
    with (
        counting_receiver() as receiver,
        nginx() as server,
        paused_agent(receiver.endpoint, "nginx", make=SwitchedAgent) as agent,
    ):
        assert isinstance(agent, SwitchedAgent)
        agent._placement = Still()
        warm(server.port)
        process = start_wrk(server.port, seconds, close=close)
        try:
            agent.run_for(0.9)
            switching = Switching(agent, counter, turns)
            thread = Thread(target=switching.run)
            agent.stopping = False
            thread.start()
            agent.run()
            thread.join()
        finally:
            finish_wrk(process, seconds)
    return dict(switching.rates)


def figures(load: str, rates: dict[str, list[float]]) -> tuple[list[Check], Table]:
    base = mean(rates[ANYWHERE])
    rows: list[tuple[str | float, ...]] = [
        (way, mean(taken) / base, stdev(taken) / len(taken) ** 0.5 / base, len(taken))
        for way, taken in rates.items()
    ]
    checks = [
        Check(f"nginx, {load}: throughput, {way}", mean(rates[way]) / base, f"of: {ANYWHERE}")
        for way in (BESIDE, READ_ONLY)
    ]
    return checks, Table(f"nginx, {load}: turns within one run", ("way", "ratio", "+-", "turns"), rows)


def main() -> None:
    chosen = options.parse(__doc__, rounds=4, seconds=1)
    turns = 3 if chosen.quick else 10 * chosen.rounds
    result = Result("switching", [], samples={})
    samples: dict[str, object] = {}
    for load, counter in COUNTERS.items():
        samples[load] = rates = measure(counter, turns, close=load != "keep-alive")
        checks, table = figures(load, rates)
        result.checks.extend(checks)
        result.tables.append(table)
    publish(Result(result.name, result.checks, result.tables, samples), chosen.folder)


if __name__ == "__main__":
    main()
