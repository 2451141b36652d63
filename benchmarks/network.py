"""What TCP's health costs: BPF time a connection, and what looking at fifty thousand open sockets takes.

    python -m benchmarks.network [--rounds N] [--seconds S] [--quick]

A connection is a request to nginx with `Connection: close`, both ends on this host, nginx alone selected;
rounds with and without `network.tcp` alternate. The sockets are of three processes, at the two ends of
connections to a thousand addresses each, so that there are more peers than room for them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from typing import Any

from benchmarks import options
from benchmarks.host import ROOT
from benchmarks.kernel_statistics import runs_of, statistics_on, used
from benchmarks.load import warm, wrk
from benchmarks.results import Check, Result, Table, publish
from benchmarks.series import interleave
from benchmarks.servers import Server, nginx
from benchmarks.tracing import counting_receiver, only_pids, traced, wait_quiet
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Sweep
from otel_ebpf.kernel.tables import Tables
from otel_ebpf.kernel.tcp_peers import TcpPeers

PROCESSES, CONNECTIONS, PEERS = 3, 8300, 1000
LIMIT_SWEEP_MS, LIMIT_TAKE_MS = 200.0, 100.0
COLUMNS = ("round", "sweep ms", "reading ms", "entries", "open connections' ends", "of these without peer")
ON, OFF = "with network.tcp", "without"


def bpf_time(server: Server, endpoint: str, seconds: int, enabled: bool) -> float:
    """Return microseconds of BPF programs a connection."""
    config: dict[str, Any] = {**only_pids(server.pids), "network": {"tcp": {"enabled": enabled}}}
    with traced(endpoint, config) as agent:
        warm(server.port)
        wait_quiet(agent.pid)
        before = runs_of(agent.pid)
        load = wrk(server.port, seconds, close=True)
        wait_quiet(agent.pid)
        spent = used(before, runs_of(agent.pid))
    return sum(one.nanoseconds for one in spent.values()) / load.requests / 1e3


def connection_costs(rounds: int, seconds: int) -> dict[str, list[float]]:
    with counting_receiver() as receiver, nginx() as server, statistics_on():
        one = partial(bpf_time, server, receiver.endpoint, seconds)
        return interleave({OFF: partial(one, False), ON: partial(one, True)}, rounds)


@contextmanager
def crowds(connections: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Start what opens the connections, when it is told to."""
    program = ROOT / "benchmarks" / "programs" / "open_connections.py"
    command = [sys.executable, str(program), str(connections), str(PEERS)]
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(PROCESSES)
        ]


def open_all(started: list[subprocess.Popen[str]]) -> int:
    """Have them opened; return the number of sockets."""
    for one in started:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    return sum(int(one.stdout.readline()) for one in started if one.stdout is not None)


def looks(rounds: int, connections: int) -> tuple[int, list[tuple[str | float, ...]], list[int]]:
    """Return the number of sockets, what each look took and found, and the ledger."""
    attacher, rows = Attacher(), list[tuple[str | float, ...]]()
    with crowds(connections) as started:
        try:
            attached = attacher.handle(Attach(tls=False, runtimes=False))
            assert isinstance(attached, Attached)
            peers = TcpPeers(attached.maps)
            attacher.handle(Sweep())
            peers.start()
            sockets = open_all(started)
            peers.take()
            for number in range(rounds):
                begun = time.monotonic()
                attacher.handle(Sweep())
                swept = time.monotonic()
                taken = [one for one in peers.take() if one.process in {child.pid for child in started}]
                times = ((swept - begun) * 1e3, (time.monotonic() - swept) * 1e3)
                without = sum(one.active for one in taken if one.overflow)
                rows.append((str(number), *times, len(taken), sum(one.active for one in taken), without))
            ledger = Tables(attached.maps).ledger_totals()
            for one in started:
                one.communicate("\n")
        finally:
            attacher.handle(Detach())
    return sockets, rows, ledger


def main() -> None:
    chosen = options.parse(__doc__, rounds=5, seconds=3)
    costs = connection_costs(chosen.rounds, chosen.seconds)
    sockets, rows, ledger = looks(chosen.rounds, 200 if chosen.quick else CONNECTIONS)
    found = [int(row[4]) for row in rows]
    checks = [
        *(Check(f"BPF time a connection, {name}", median(taken), "us") for name, taken in costs.items()),
        Check(f"a sweep of {sockets} sockets", median(float(row[1]) for row in rows), "ms", LIMIT_SWEEP_MS),
        Check("reading the peers", median(float(row[2]) for row in rows), "ms", LIMIT_TAKE_MS),
        Check("sockets that a sweep missed", max(sockets - one for one in found), "", 0),
        Check("measurements over network.tcp.peers", ledger[Entry.TCP_PEER_LIMIT], ""),
        Check("measurements without room", ledger[Entry.TCP_PEERS_FULL], "", 0),
    ]
    samples = {"us_per_connection": costs, "looks": rows}
    publish(Result("network", checks, [Table("looks", COLUMNS, rows)], samples), chosen.folder)


if __name__ == "__main__":
    main()
