"""Whose a record is, and for how long that is remembered."""

from __future__ import annotations

import subprocess

from hypothesis import given
from hypothesis import strategies as st
from identity_support import notice, vantage

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.config_rules import Rule
from otel_ebpf.identity.discovery import Decision, Discovery, Verdict
from otel_ebpf.identity.model import Process, Service
from otel_ebpf.identity.process import read_process
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.services import KEPT_SECONDS, VANTAGES_KEPT, Services
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import Role


class Observed:
    """Services with a clock that stands still, and what they called back."""

    def __init__(self, rules: Rules | None = None, capacity: int = 100) -> None:
        self.now = 0.0
        self.forgotten: list[Service] = []
        self.decided: list[tuple[Process, Service, Decision]] = []
        self.shard = Shard()
        self.services = Services(
            Resources(host=(), boot_id="b"),
            Discovery(rules or Rules()),
            capacity=capacity,
            decided=lambda *decided: self.decided.append(decided),
            forgotten=self.forgotten.append,
            clock=lambda: self.now,
            shard=self.shard,
        )


def test_a_process_that_was_announced() -> None:
    observed = Observed()
    service = observed.services.seen(notice())
    assert (service.name, service.language) == ("shop", "unknown")
    assert observed.services.service_of(vantage()) is service
    ((process, decided, decision),) = observed.decided
    assert (process.pid, decided, decision) == (4_000_000, service, Decision(Verdict.ON))


def test_a_process_that_was_not_announced_is_looked_up() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        found = read_process(child.pid)
        assert found is not None
        here = vantage(process=child.pid, agent_process=child.pid, process_start=found.start)
        observed = Observed()
        service = observed.services.service_of(here)
        child.kill()
    assert service.name == "sleep"
    assert observed.services.service_of(here) is service
    assert len(observed.decided) == 1


def test_a_process_of_which_nothing_is_known_is_looked_up_once() -> None:
    observed = Observed()
    service = observed.services.service_of(vantage())
    assert service.name == "unknown_service"
    assert dict(service.resource)["process.pid"] == 4_000_000
    assert "process.owner" not in dict(service.resource)
    assert observed.shard.counts[Entry.PROCESS_UNKNOWN] == 1
    assert observed.services.service_of(vantage()) is service
    announced = observed.services.seen(notice())
    assert announced.name == "shop"
    assert observed.services.service_of(vantage()) is announced
    assert observed.forgotten == [service]
    assert observed.shard.counts[Entry.PROCESS_UNKNOWN] == 1


def test_processes_are_told_apart_by_pid_and_start() -> None:
    observed = Observed()
    services = [
        observed.services.seen(notice()),
        observed.services.seen(notice(process=4_000_001)),
        observed.services.seen(notice(process_start=2_000_000_000)),
    ]
    assert len({service.number for service in services}) == 3
    assert len({dict(service.resource)["service.instance.id"] for service in services}) == 3
    assert [service.name for service in services] == ["shop"] * 3
    assert observed.services.service_of(vantage(process_start=2_000_000_000)) is services[2]


def test_the_same_resource_is_the_same_service() -> None:
    observed = Observed()
    assert observed.services.seen(notice()) is observed.services.seen(notice())
    assert observed.forgotten == []


def test_exec_makes_another_service() -> None:
    observed = Observed()
    before = observed.services.seen(notice())
    after = observed.services.seen(notice(executable=b"billing", arguments=b"billing\0"))
    assert after.name == "billing"
    assert observed.services.service_of(vantage()) is after
    assert observed.forgotten == [before]


def test_an_exited_process_is_kept_for_its_last_records() -> None:
    observed = Observed()
    service = observed.services.seen(notice())
    assert observed.services.ended() == set()
    observed.services.exited(notice(kind=6))
    observed.services.exited(notice(kind=6))
    observed.services.exited(notice(process=4_000_009))
    observed.now = KEPT_SECONDS - 0.1
    observed.services.sweep()
    assert observed.services.ended() == {service}
    assert observed.services.service_of(vantage()) is service
    assert observed.forgotten == []
    observed.now = KEPT_SECONDS
    observed.services.sweep()
    assert observed.forgotten == [service]
    assert len(observed.services) == 0
    assert observed.services.ended() == set()
    assert observed.services.service_of(vantage()).name == "unknown_service"


def test_an_exit_whose_notice_was_lost_is_found() -> None:
    observed = Observed()
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        found = read_process(child.pid)
        assert found is not None
        told = notice(
            process=child.pid, agent_process=child.pid, process_start=found.start, executable=b"sleep"
        )
        service = observed.services.seen(told)
        observed.services.sweep()
        observed.now = KEPT_SECONDS * 2
        observed.services.sweep()
        assert observed.forgotten == []
        child.kill()
    observed.services.sweep()
    observed.now += KEPT_SECONDS
    observed.services.sweep()
    assert observed.forgotten == [service]


def test_no_more_than_the_capacity_is_remembered_and_the_used_stay() -> None:
    observed = Observed(capacity=10)
    used = observed.services.seen(notice())
    here = vantage()
    for pid in range(1, 200):
        observed.services.seen(notice(process=4_000_000 + pid))
        assert observed.services.admitted(here) is used
        assert len(observed.services) <= 10
    assert used not in observed.forgotten
    assert len(observed.forgotten) + len(observed.services) == 200
    assert len(set(observed.forgotten)) == len(observed.forgotten)
    assert observed.shard.counts[Entry.PROCESS_EVICTED] == len(observed.forgotten)


def test_what_has_ended_and_finds_no_room_is_no_loss() -> None:
    """It would have been remembered a little longer, for records that come late."""
    observed = Observed(capacity=10)
    for pid in range(1, 200):
        observed.services.seen(notice(process=4_000_000 + pid))
        observed.services.exited(notice(process=4_000_000 + pid))
        assert len(observed.services) <= 10
    assert len(observed.forgotten) >= 190
    assert observed.shard.counts[Entry.PROCESS_EVICTED] == 0
    observed.now = KEPT_SECONDS
    observed.services.sweep()
    assert len(observed.services) == 0
    assert len(set(observed.forgotten)) == 199
    assert observed.shard.counts[Entry.PROCESS_UNKNOWN] == 0


_STEPS = st.lists(
    st.tuples(st.sampled_from(["seen", "exec", "of", "exited", "sweep", "wait"]), st.integers(0, 5)),
    max_size=60,
)


@given(_STEPS, st.integers(1, 8))
def test_the_books_of_services_balance(steps: list[tuple[str, int]], capacity: int) -> None:
    observed = Observed(capacity=capacity)
    made: set[Service] = set()
    for step, number in steps:
        told = notice(process=4_000_000 + number)
        if step in ("seen", "exec"):
            made.add(observed.services.seen(told._replace(arguments=step.encode())))
        elif step == "of":
            made.add(observed.services.service_of(vantage(process=4_000_000 + number)))
        elif step == "exited":
            observed.services.exited(told)
        elif step == "wait":
            observed.now += 20
        else:
            observed.services.sweep()
        assert len(observed.services) <= max(capacity, 2)
    for number in range(6):
        observed.services.exited(notice(process=4_000_000 + number))
    observed.now += 100
    observed.services.sweep()
    assert len(observed.services) == 0
    assert set(observed.forgotten) == made
    assert len(observed.forgotten) == len(made)


def test_records_captured_before_the_kernel_was_told_are_filtered() -> None:
    rules = Rules(include=(Rule(executable="shop", ports=(80,)), Rule(executable="billing")))
    observed = Observed(rules)
    observed.services.seen(notice())
    assert observed.services.admitted(vantage())
    assert not observed.services.admitted(vantage(server_port=81))
    assert observed.services.admitted(vantage(role=int(Role.CLIENT)))
    observed.services.seen(notice(process=4_000_001, executable=b"billing"))
    assert observed.services.admitted(vantage(process=4_000_001, server_port=81))
    assert not observed.services.admitted(vantage(process=4_000_002))
    assert Observed().services.admitted(vantage(process=4_000_002))


def test_a_client_of_many_servers_fills_no_memory() -> None:
    observed = Observed()
    service = observed.services.seen(notice())
    for number in range(VANTAGES_KEPT + 10):
        assert observed.services.admitted(vantage(server_port=number)) is service
    assert 0 < len(observed.services._found) <= VANTAGES_KEPT
