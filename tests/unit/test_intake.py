"""Records of a process of which more may come to be known: held, in their order, and within a bound."""

from __future__ import annotations

from typing import Any

from identity_support import notice, vantage

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.identity.discovery import Discovery
from otel_ebpf.identity.model import Container, Service
from otel_ebpf.identity.own_traces import OwnTraces
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.services import Services
from otel_ebpf.identity.surroundings import Surroundings
from otel_ebpf.intake import HELD_MAX, Intake
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import Lookup
from otel_ebpf.kernel.vantage import Vantage

ID = "ab" * 32
WAITS, ELSEWHERE = vantage(), vantage(process=5)


class Source:
    hopeful = True

    def __init__(self) -> None:
        self.known: dict[str, Container] = {}

    def serves(self, runtime: str) -> bool:
        return True

    def facts(self, identifier: str) -> Container | None:
        return self.known.get(identifier)


class Bench:
    """An intake whose signals only say which lookup came when, and of which service."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shard = Shard()
        self.source = Source()
        self.taken: list[tuple[bytes, str]] = []
        self.lookups = self
        self.services = Services(
            Resources(host=(), boot_id="b"),
            Discovery(Rules()),
            clock=lambda: self.now,
            shard=self.shard,
            surroundings=Surroundings([self.source]),
            wait_seconds=1.0,
        )
        unused: Any = None
        signals: Any = self
        self.intake = Intake(self.shard, self.services, unused, unused, unused, unused, signals, OwnTraces())
        self.services.seen(notice(unified=(f"docker-{ID}.scope".encode(),)))
        self.services.seen(notice(process=5, executable=b"other"))

    def seen(self, lookup: Lookup, service: Service | None) -> None:
        self.taken.append((lookup.name, service.name if service else ""))

    def take(self, name: str, whose: Vantage) -> None:
        facts = dict.fromkeys(Lookup._fields, 0)
        self.intake.take(Lookup(**{**facts, "name": name.encode(), "vantage": whose}))  # type: ignore[arg-type]


def test_records_are_held_until_the_facts_are_there() -> None:
    bench = Bench()
    for name in ("a", "b"):
        bench.take(name, WAITS)
    bench.take("c", ELSEWHERE)
    bench.intake.settle()
    assert bench.taken == [(b"c", "other")], "what others do goes on"
    bench.source.known[ID] = Container(ID, "docker", "till")
    bench.take("d", WAITS)
    bench.intake.settle()
    assert bench.taken[1:] == [(b"a", "till"), (b"b", "till"), (b"d", "till")]
    bench.take("e", WAITS)
    assert bench.taken[-1] == (b"e", "till")


def test_records_go_without_when_the_time_is_over() -> None:
    bench = Bench()
    bench.take("a", WAITS)
    bench.now = 1.0
    bench.intake.settle()
    bench.take("b", WAITS)
    assert bench.taken == [(b"a", "shop"), (b"b", "shop")]
    assert bench.shard.counts[Entry.PROCESS_FACTS_LATE] == 1


def test_no_more_than_a_number_of_records_is_held() -> None:
    bench = Bench()
    for number in range(HELD_MAX):
        bench.take(str(number), WAITS)
    assert not bench.taken
    bench.take("last", WAITS)
    assert [name for name, _ in bench.taken] == [
        *(str(number).encode() for number in range(HELD_MAX)),
        b"last",
    ]
    assert bench.shard.counts[Entry.PROCESS_FACTS_LATE] == 1


def test_at_the_end_nothing_is_kept() -> None:
    bench = Bench()
    bench.take("a", WAITS)
    bench.intake.settle(at_once=True)
    assert bench.taken == [(b"a", "shop")]
