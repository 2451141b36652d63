"""TCP's health in user space: per-CPU values added up, services found, series made."""

from __future__ import annotations

import errno
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

import pytest
from identity_support import notice

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.config_rules import Rule
from otel_ebpf.identity.discovery import Discovery
from otel_ebpf.identity.model import Service
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.services import Services
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.messages import Sweep
from otel_ebpf.kernel.tcp_peers import BUCKETS, PEER, PEER_KEY, Measured, TcpKind, TcpPeer, read_peer
from otel_ebpf.signals.instruments import HistogramPoint, Instruments, NumberPoint
from otel_ebpf.signals.tcp_metrics import RTT_BOUNDS, TcpMetrics
from otel_ebpf.tcp_health import DRAIN_SECONDS, LEAD_SECONDS, TcpHealth

ADDRESS = bytes(10) + b"\xff\xff\x0a\x00\x00\x02"
NOTHING = Measured((0,) * BUCKETS, 0, 2**64 - 1, 0)
START, PROCESS = 1_000_000_000, 4_000_000
SERVICE = Service(1, "shop", "python", (("service.name", "shop"),))


def peer(**given: Any) -> TcpPeer:
    facts: dict[str, Any] = {
        **{"start": START, "process": PROCESS, "port": 80, "kind": TcpKind.CONNECTED, "overflow": False},
        **{"error": 0, "address": ADDRESS, "rtt": NOTHING, "time": NOTHING},
        **dict.fromkeys(("sent", "received", "retransmits", "resets_sent", "resets_received"), 0),
        **dict.fromkeys(("active", "overflows"), 0),
    }
    return TcpPeer(**{**facts, **given})


def measured(*buckets: int, total: int = 0, least: int = 0, most: int = 0) -> Measured:
    counts = [0] * BUCKETS
    for bucket in buckets:
        counts[bucket] += 1
    return Measured(tuple(counts), total, least, most)


class Counted:
    """The metrics, and what they hold after a collection, by name and attributes."""

    def __init__(self, limit: int = 2000) -> None:
        self.instruments = Instruments(0, limit)
        self.metrics = TcpMetrics(self.instruments)
        self._time = 0

    def collect(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
        self._time += 1
        return {
            descriptor.name.removeprefix("ebpf.tcp."): {point.attributes: point for point in points}
            for descriptor, points in self.instruments.collect(self._time).instruments
            if points
        }


def values(points: dict[Any, NumberPoint]) -> list[float]:
    return [point.value for point in points.values()]


WHO = (("network.peer.address", "10.0.0.2"), ("server.port", 80))


def test_what_processors_have_is_added_up() -> None:
    one = PEER.pack(30, 20, 2**64 - 1 - 10, *range(BUCKETS), 0, 0, 0, *(0,) * BUCKETS, 5, 6, 7, 1, 2, 3, 4)
    two = PEER.pack(5, 5, 2**64 - 1 - 5, 1, *(0,) * 15, 0, 0, 0, *(0,) * BUCKETS, 10, 0, 0, 0, 0, 1, 0)
    key = PEER_KEY.unpack(PEER_KEY.pack(START, PROCESS, 80, 2 | 0x80, 0, ADDRESS))
    read = read_peer(key, memoryview(bytes(PEER.size) + one + bytes(PEER.size) + two))
    assert read.rtt == Measured((1, *range(1, BUCKETS)), 35, 5, 20)
    assert read.time == NOTHING
    assert read[9:] == (15, 6, 7, 1, 2, 4, 4)
    assert (read.kind, read.overflow, read.address) == (TcpKind.ACCEPTED, True, ADDRESS)
    assert read_peer(key, memoryview(bytes(PEER.size * 4)))[9:] == (0,) * 7


def test_connections() -> None:
    """Peer, direction and role, where each belongs; nothing is made of nothing."""
    counted = Counted()
    numbers = {
        "sent": 10,
        "received": 20,
        "retransmits": 3,
        "resets_sent": 1,
        "resets_received": 2,
        "active": 4,
    }
    rtt, time = measured(0, 0, 3, total=1_200_000, least=50_000, most=900_000), measured(2, total=9_000_000)
    counted.metrics.count(SERVICE, peer(rtt=rtt, time=time, **numbers))
    counted.metrics.count(SERVICE, peer(kind=TcpKind.ACCEPTED, sent=1, active=1))
    found = counted.collect()
    out, into = (("network.io.direction", "transmit"),), (("network.io.direction", "receive"),)
    client, server = (("role", "client"),), (("role", "server"),)
    assert {key: point.value for key, point in found["io"].items()} == {WHO + out: 11, WHO + into: 20}
    assert {key: point.value for key, point in found["resets"].items()} == {WHO + out: 1, WHO + into: 2}
    assert {key: point.value for key, point in found["retransmits"].items()} == {WHO: 3}
    active = {key: point.value for key, point in found["connection.active"].items()}
    assert active == {WHO + client: 4, WHO + server: 1}
    ((key, point),) = found["rtt"].items()
    assert isinstance(point, HistogramPoint)
    assert key == WHO + client
    assert point.value.counts == (2, 0, 0, 1, *(0,) * (len(RTT_BOUNDS) - 3))
    assert (point.value.total, point.range) == (0.0012, (0.00005, 0.0009))
    assert list(found["connection.duration"]) == [WHO]
    assert found.keys() == {"io", "resets", "retransmits", "connection.active", "rtt", "connection.duration"}


def test_what_a_process_moves_is_told_where_it_is_wanted() -> None:
    """Of all peers together, those over the limit included."""
    instruments = Instruments(0)
    metrics = TcpMetrics(instruments, processes=True)
    for moved in (peer(sent=1, received=10), peer(port=81, sent=2), peer(overflow=True, sent=4, received=40)):
        metrics.count(SERVICE, moved)
    ((_, points),) = (
        one for one in instruments.collect(1).instruments if one[0].name == "process.network.io"
    )
    assert {dict(point.attributes)["network.io.direction"]: point.value for point in points} == {
        "transmit": 7,
        "receive": 50,
    }


def test_attempts_and_turned_away_connections() -> None:
    counted = Counted()
    kind = TcpKind.CONNECT
    counted.metrics.count(SERVICE, peer(kind=kind, time=measured(0, 1)))
    for error in (errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES):
        counted.metrics.count(SERVICE, peer(kind=kind, error=error, time=measured(3)))
    counted.metrics.count(SERVICE, peer(kind=TcpKind.LISTENING, address=bytes(16), overflows=9))
    found = counted.collect()
    errors = {dict(key)["error.type"]: point.value for key, point in found["connect.failures"].items()}
    names = ("connection_refused", "timeout", "host_unreachable", "network_unreachable", "_OTHER")
    assert errors == dict.fromkeys(names, 1)
    assert sum(sum(point.value.counts) for point in found["connect.duration"].values()) == 7
    assert found["connect.duration"].keys() - found["connect.failures"].keys() == {WHO}
    assert {key: point.value for key, point in found["listen.overflows"].items()} == {
        (("server.port", 80),): 9
    }


def test_datagrams() -> None:
    """By the port that serves, where one does, and direction; of peers nothing."""
    counted, kind = Counted(), TcpKind.UDP
    out, into = (("network.io.direction", "transmit"),), (("network.io.direction", "receive"),)
    port, over = (("server.port", 80),), (("otel.metric.overflow", True),)
    counted.metrics.count(SERVICE, peer(kind=kind, address=bytes(16), sent=5, overflows=2))
    counted.metrics.count(SERVICE, peer(kind=kind, address=bytes(16), sent=3, received=7, port=0))
    counted.metrics.count(SERVICE, peer(kind=kind, address=bytes(16), sent=1, overflows=4, overflow=True))
    found = counted.collect()
    io = {key: point.value for key, point in found["ebpf.udp.io"].items()}
    assert io == {port + out: 5, out: 3, into: 7, over: 1}
    assert {key: point.value for key, point in found["ebpf.udp.drops"].items()} == {port: 2, over: 4}
    assert found.keys() == {"ebpf.udp.io", "ebpf.udp.drops"}


def test_what_is_over_a_limit_is_one_series() -> None:
    """The kernel's and user space's own."""
    counted, over = Counted(limit=3), (("otel.metric.overflow", True),)
    for number in range(5):
        counted.metrics.count(SERVICE, peer(address=bytes(15) + bytes([number + 1]), retransmits=1))
    counted.metrics.count(SERVICE, peer(overflow=True, address=bytes(16), port=0, retransmits=10))
    found = counted.collect()["retransmits"]
    assert len(found) == 3
    assert found[over].value == 13
    failed = peer(overflow=True, kind=TcpKind.CONNECT, error=errno.ETIMEDOUT, time=measured(1))
    counted.metrics.count(SERVICE, failed)
    counted.metrics.count(SERVICE, peer(overflow=True, kind=TcpKind.LISTENING, overflows=1))
    found_all = counted.collect()
    assert all(list(found_all[name]) == [over] for name in ("connect.failures", "listen.overflows"))


def test_connections_that_a_sweep_does_not_find_are_not_open() -> None:
    counted = Counted()
    counted.metrics.count(SERVICE, peer(active=4))
    assert values(counted.collect()["connection.active"]) == [4]
    counted.metrics.begin_active()
    counted.metrics.count(SERVICE, peer(active=1))
    assert values(counted.collect()["connection.active"]) == [1]
    counted.metrics.begin_active()
    assert values(counted.collect()["connection.active"]) == [0]


@dataclass
class Kernel:
    """Stands in for the attacher and for the maps."""

    due: list[TcpPeer] = field(default_factory=list)
    sweeps: int = 0
    broken: bool = False

    def handle(self, request: object) -> None:
        assert isinstance(request, Sweep)
        self.sweeps += 1

    def start(self) -> None:
        if self.broken:
            raise KernelError("no such map")

    def take(self) -> list[TcpPeer]:
        self.start()
        due, self.due = self.due, []
        return due


class Watched:
    """A `TcpHealth` of which the kernel is made up, and one process known."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.kernel, self.counted, self.shard = Kernel(), Counted(), Shard()
        self.services = Services(Resources(host=(), boot_id="b"), Discovery(rules or Rules()))
        self.services.seen(notice())
        self.now = 0.0
        self.health = TcpHealth(
            self.kernel,  # type: ignore[arg-type]
            self.kernel,  # type: ignore[arg-type]
            self.services,
            self.counted.metrics,
            self.shard,
            lambda: self.now,
        )

    def drain(self) -> None:
        """Let so much time pass that what there is is taken without a collection."""
        self.now += DRAIN_SECONDS
        self.health.tick(50)
        assert self.health._look is not None
        wait([self.health._look.found])
        self.health.tick(50)


def test_a_collection_sweeps_and_a_drain_does_not() -> None:
    watched = Watched()
    watched.health.start()
    watched.kernel.due = [peer(sent=5, active=2)]
    watched.health.collect()
    watched.kernel.due = [peer(sent=6)]
    watched.drain()
    assert watched.kernel.sweeps == 2
    found = watched.counted.collect()
    assert values(found["io"]) == [11]
    assert values(found["connection.active"]) == [2], "a drain says nothing of what is open"
    watched.health.collect()
    assert values(watched.counted.collect()["connection.active"]) == [0]


def test_the_sweep_comes_before_the_collection_and_once() -> None:
    watched = Watched()
    watched.kernel.due = [peer(active=2)]
    watched.health.tick(LEAD_SECONDS * 2)
    assert watched.health._look is None
    watched.health.tick(LEAD_SECONDS)
    assert watched.health._look is not None
    wait([watched.health._look.found])
    for due in (0.1, 0.0):
        watched.health.tick(due)
        assert watched.health._look is None
    assert values(watched.counted.collect()["connection.active"]) == [2]
    watched.health.collect()
    assert watched.kernel.sweeps == 1
    watched.health.tick(LEAD_SECONDS)
    watched.health.collect()
    assert watched.kernel.sweeps == 2
    watched.health.tick(LEAD_SECONDS)
    watched.health.finish()
    assert watched.kernel.sweeps == 4, "what happened since the sweep is not to be lost"
    watched.health.collect()
    assert watched.kernel.sweeps == 4


def test_a_process_that_is_gone_is_counted() -> None:
    watched = Watched()
    watched.kernel.due = [peer(sent=5, process=PROCESS - 1), peer(sent=1)]
    watched.health.collect()
    assert watched.shard.counts[Entry.SIGNAL_TCP_PROCESS_UNKNOWN] == 1
    assert values(watched.counted.collect()["io"]) == [1]


def test_what_the_rules_leave_out_is_counted() -> None:
    watched = Watched(Rules(exclude=(Rule(ports=(80,)),)))
    watched.kernel.due = [peer(sent=5), peer(sent=7, port=81), peer(sent=9, overflow=True, port=0)]
    watched.health.collect()
    assert watched.shard.counts[Entry.SIGNAL_TCP_DISCOVERY] == 1
    assert sum(values(watched.counted.collect()["io"])) == 16


def test_a_kernel_that_fails_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    watched.kernel.broken = True
    watched.health.start()
    watched.health.collect()
    watched.drain()
    (record,) = caplog.records
    assert record.message.startswith("the metrics of TCP are incomplete: no such map; ")
