"""Facts about where processes run, which may come late or never."""

from __future__ import annotations

from identity_support import notice, process, vantage

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.identity.discovery import Discovery
from otel_ebpf.identity.model import Container, Pod, Process
from otel_ebpf.identity.naming import Name
from otel_ebpf.identity.process import process_from_record
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.runtime import UNKNOWN
from otel_ebpf.identity.services import Services
from otel_ebpf.identity.surroundings import Surroundings
from otel_ebpf.identity.waiting import WAITING_MAX
from otel_ebpf.kernel.ledger import Entry, Shard

ID = "ab" * 32
UID = "8f2c1d6e-0a4b-4c7d-9e1f-112233445566"
IN_DOCKER = (f"docker-{ID}.scope".encode(), b"system.slice")


class Told:
    """A source that knows what it is told."""

    def __init__(self) -> None:
        self.known: dict[str, Container] = {}
        self.hopeful = True

    def facts(self, identifier: str) -> Container | None:
        return self.known.get(identifier)

    def serves(self, runtime: str) -> bool:
        return runtime in {"", "docker"}


class ToldPods:
    def __init__(self) -> None:
        self.known: dict[str, tuple[Pod, Container | None]] = {}
        self.hopeful = True

    def facts(self, uid: str, container: str) -> tuple[Pod, Container | None] | None:
        return self.known.get(uid)


class Waiting:
    """Services that wait a second by a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.decided: list[Process] = []
        self.shard = Shard()
        self.source = Told()
        self.services = Services(
            Resources(host=(), boot_id="b"),
            Discovery(Rules()),
            decided=lambda process, *_: self.decided.append(process),
            clock=lambda: self.now,
            shard=self.shard,
            surroundings=Surroundings([self.source]),
            wait_seconds=1.0,
        )

    @property
    def late(self) -> int:
        return self.shard.counts[Entry.PROCESS_FACTS_LATE]


def test_facts_that_are_there_are_not_waited_for() -> None:
    waiting = Waiting()
    waiting.source.known[ID] = Container(ID, "docker", "till", "registry/till", ("1.2",))
    service = waiting.services.seen(notice(unified=IN_DOCKER))
    assert not waiting.services.waits(vantage())
    assert service.name == "till"
    resource = dict(service.resource)
    assert (resource["container.id"], resource["container.name"]) == (ID, "till")
    assert (resource["container.image.name"], resource["container.image.tags"]) == ("registry/till", ("1.2",))
    assert resource["container.runtime.name"] == "docker"
    assert len(waiting.decided) == 1


def test_facts_that_come_late_are_waited_for() -> None:
    waiting = Waiting()
    provisional = waiting.services.seen(notice(controlled=(ID.encode(), b"docker")))
    assert waiting.services.waits(vantage())
    assert not waiting.decided, "what a rule says of the container is not known yet"
    waiting.now = 0.9
    assert waiting.services.settle() == []
    waiting.source.known[ID] = Container(ID, "docker", "till")
    assert waiting.services.settle() == [(4_000_000, 1_000_000_000)]
    assert not waiting.services.waits(vantage())
    service = waiting.services.service_of(vantage())
    assert (provisional.name, service.name, len(waiting.decided), waiting.late) == ("shop", "till", 1, 0)


def test_facts_that_do_not_come_are_counted() -> None:
    waiting = Waiting()
    waiting.services.seen(notice(unified=IN_DOCKER))
    waiting.now = 1.0
    assert len(waiting.services.settle()) == 1
    assert (waiting.late, len(waiting.decided)) == (1, 1)
    # The next process of the same container does not wait for them again.
    waiting.services.seen(notice(unified=IN_DOCKER, process=5, process_start=5))
    assert not waiting.services.waits(vantage(process=5, process_start=5))
    assert dict(waiting.services.service_of(vantage()).resource)["container.id"] == ID


def test_facts_that_come_too_late_are_used_from_then_on() -> None:
    waiting = Waiting()
    waiting.services.seen(notice(unified=IN_DOCKER))
    waiting.now = 1.0
    waiting.services.settle()
    waiting.services.sweep()
    assert waiting.services.service_of(vantage()).name == "shop"
    waiting.source.known[ID] = Container(ID, "docker", "till")
    waiting.services.sweep()
    assert waiting.services.service_of(vantage()).name == "till"
    assert len(waiting.decided) == 2


def test_no_more_than_a_number_of_processes_is_waited_for() -> None:
    waiting = Waiting()
    for pid in range(1, WAITING_MAX + 2):
        waiting.services.seen(notice(unified=(f"docker-{pid:064x}.scope".encode(),), process=pid))
    assert waiting.late == 1
    assert not waiting.services.waits(vantage(process=WAITING_MAX + 1))


def test_a_program_that_is_another_by_exec_is_not_waited_for_longer() -> None:
    waiting = Waiting()
    waiting.services.seen(notice(unified=IN_DOCKER))
    waiting.now = 0.5
    waiting.services.seen(notice(unified=IN_DOCKER, executable=b"other", arguments=b"/opt/other\0"))
    waiting.now = 1.0
    assert len(waiting.services.settle()) == 1
    assert waiting.services.service_of(vantage()).name == "other"


def test_without_a_source_nothing_is_waited_for() -> None:
    waiting = Waiting()
    waiting.source.hopeful = False
    waiting.services.seen(notice(unified=IN_DOCKER))
    assert not waiting.services.waits(vantage())
    assert waiting.late == 0


def test_pods_are_known_by_their_source_and_containers_by_theirs() -> None:
    pods = ToldPods()
    surroundings = Surroundings([Told()], pods)
    path = f"/kubepods/besteffort/pod{UID}/{ID}"
    placed, complete, _ = surroundings.place(process(cgroup=path))
    assert (placed.pod, complete) == (Pod(UID), False)
    pods.known[UID] = (Pod(UID, "till-1"), None)
    placed, complete, _ = surroundings.place(process(cgroup=path))
    assert (placed.pod, complete) == (Pod(UID, "till-1"), False), "its containers are not known yet"
    pods.known[UID] = (
        Pod(UID, "till-1", "sales", "node-1"),
        Container("", "containerd", "web", "till", ("2",)),
    )
    placed, complete, _ = surroundings.place(process(cgroup=path))
    assert complete
    assert placed.pod == Pod(UID, "till-1", "sales", "node-1")
    assert placed.container == Container(ID, "containerd", "web", "till", ("2",))


def test_what_a_pod_says_is_on_the_resource_but_nothing_of_the_process() -> None:
    annotations = {
        "resource.opentelemetry.io/deployment.environment.name": "test",
        "resource.opentelemetry.io/process.pid": "1",
        "other": "x",
    }
    owners = (("replicaset", "till-5d4", "u1"), ("deployment", "till", ""))
    pod = Pod(UID, "till-1", "sales", "node-1", owners, {"app.kubernetes.io/version": "3"}, annotations)
    known = process(pod=pod, container=Container(ID, "containerd", "web"))
    resource = dict(Resources(host=(), boot_id="b").of(known, Name("till"), UNKNOWN))
    wanted = {
        "k8s.pod.uid": UID,
        "k8s.pod.name": "till-1",
        "k8s.namespace.name": "sales",
        "k8s.node.name": "node-1",
        "k8s.replicaset.name": "till-5d4",
        "k8s.replicaset.uid": "u1",
        "k8s.deployment.name": "till",
        "k8s.container.name": "web",
        "service.version": "3",
        "deployment.environment.name": "test",
        "process.pid": 4_000_000,
    }
    assert {key: resource.get(key) for key in wanted} == wanted
    assert "other" not in resource


def test_the_control_group_of_a_process_that_has_gone_is_in_its_record() -> None:
    found = process_from_record(
        notice(unified=(b"x.service", b"system.slice"), controlled=(ID.encode(), b"docker"))
    )
    assert found.cgroup == f"/docker/{ID}"
    found = process_from_record(notice(unified=(b"x.service", b"system.slice"), controlled=()))
    assert found.cgroup == "/system.slice/x.service"
