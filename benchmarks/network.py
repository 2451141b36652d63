"""What the network's metrics cost: BPF time, and what looking at fifty thousand open sockets takes.

    python -m benchmarks.network [--rounds N] [--seconds S] [--quick]

A connection is a request to nginx with `Connection: close`, both ends on this host, nginx alone selected; a
request is one on connections that are kept; a datagram is sent by a process to itself in a call, and read in
another. Rounds without the network's metrics, with `network.tcp`, and with `network.udp` too alternate. The
sockets are of three processes, at the two ends of connections to a thousand addresses each, so that there are
more peers than room for them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from typing import Any

from benchmarks import options
from benchmarks.host import ROOT
from benchmarks.kernel_statistics import runs_of, statistics_on, used
from benchmarks.load import wrk
from benchmarks.results import Check, Result, Table, publish
from benchmarks.series import interleave
from benchmarks.servers import nginx
from benchmarks.tracing import counting_receiver, only_pids, traced, wait_quiet
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Sweep
from otel_ebpf.kernel.tables import Tables
from otel_ebpf.kernel.tcp_peers import TcpPeers

PROCESSES, CONNECTIONS, PEERS = 3, 8300, 1000
LIMIT_SWEEP_MS, LIMIT_TAKE_MS = 200.0, 100.0
COLUMNS = ("round", "sweep ms", "reading ms", "entries", "open connections' ends", "of these without peer")
DATAGRAMS = 100_000
WAYS: dict[str, dict[str, Any]] = {
    "without": {"tcp": {"enabled": False}, "udp": False},
    "with network.tcp": {"udp": False},
    "with network.udp too": {},
}


def bpf_time(pids: Iterable[int], endpoint: str, way: str, load: Callable[[], int]) -> float:
    """Return microseconds of BPF programs for each of what `load` makes."""
    with traced(endpoint, {**only_pids(pids), "network": WAYS[way]}) as agent:
        load()
        wait_quiet(agent.pid)
        before = runs_of(agent.pid)
        number = load()
        wait_quiet(agent.pid)
        spent = used(before, runs_of(agent.pid))
    return sum(one.nanoseconds for one in spent.values()) / number / 1e3


def datagrams(program: subprocess.Popen[str]) -> int:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{DATAGRAMS}\n")
    program.stdin.flush()
    program.stdout.readline()
    return DATAGRAMS


def costs_of(rounds: int, seconds: int) -> dict[str, list[float]]:
    """Return what a connection, a request and a datagram take, by way."""
    sending = [sys.executable, str(ROOT / "benchmarks" / "programs" / "send_datagrams.py")]
    with (
        counting_receiver() as receiver,
        nginx() as server,
        statistics_on(),
        subprocess.Popen(sending, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender,
    ):
        loads: dict[str, tuple[Iterable[int], Callable[[], int]]] = {
            "connection": (server.pids, lambda: wrk(server.port, seconds, close=True).requests),
            "request": (server.pids, lambda: wrk(server.port, seconds).requests),
            "datagram": ([sender.pid], lambda: datagrams(sender)),
        }
        taken = interleave(
            {
                f"a {what}, {way}": partial(bpf_time, pids, receiver.endpoint, way, load)
                for what, (pids, load) in loads.items()
                for way in WAYS
            },
            rounds,
        )
        sender.communicate()
    return taken


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
    costs = costs_of(chosen.rounds, chosen.seconds)
    sockets, rows, ledger = looks(chosen.rounds, 200 if chosen.quick else CONNECTIONS)
    found = [int(row[4]) for row in rows]
    checks = [
        *(Check(f"BPF time of {name}", median(taken), "us") for name, taken in costs.items()),
        Check(f"a sweep of {sockets} sockets", median(float(row[1]) for row in rows), "ms", LIMIT_SWEEP_MS),
        Check("reading the peers", median(float(row[2]) for row in rows), "ms", LIMIT_TAKE_MS),
        Check("sockets that a sweep missed", max(sockets - one for one in found), "", 0),
        Check("measurements over network.tcp.peers", ledger[Entry.TCP_PEER_LIMIT], ""),
        Check("measurements without room", ledger[Entry.TCP_PEERS_FULL], "", 0),
    ]
    samples = {"us": costs, "looks": rows}
    publish(Result("network", checks, [Table("looks", COLUMNS, rows)], samples), chosen.folder)


if __name__ == "__main__":
    main()
