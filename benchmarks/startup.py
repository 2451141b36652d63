"""Time from the start of the command to `ready`, everything on the host selected.

python -m benchmarks.startup [--rounds N] [--quick]
"""

from __future__ import annotations

from statistics import median

from benchmarks import options
from benchmarks.results import Check, Result, publish
from benchmarks.tracing import counting_receiver
from integration.harness.agent import Agent

LIMIT_SECONDS = 2.0


def main() -> None:
    chosen = options.parse(__doc__, rounds=5, seconds=0)
    ready: list[float] = []
    stopped: list[float] = []
    with counting_receiver() as receiver:
        for _ in range(chosen.rounds):
            agent = Agent(endpoint=receiver.endpoint)
            agent.launch()
            agent.wait_ready()
            ready.append(agent.ready_after)
            try:
                stopped.append(agent.stop())
            finally:
                agent.close()
    checks = [
        Check("start to ready, best", min(ready), "s"),
        Check("start to ready, median", median(ready), "s", LIMIT_SECONDS),
        Check("SIGTERM to exit, median", median(stopped), "s", LIMIT_SECONDS),
    ]
    publish(Result("startup", checks, [], {"ready": ready, "stopped": stopped}), chosen.folder)


if __name__ == "__main__":
    main()
