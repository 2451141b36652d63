"""What an API server may do that a real one does not on demand, and what is made of any object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_support import notice, vantage
from kubernetes_support import Api, stand_in

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.identity.api_server import ApiServer
from otel_ebpf.identity.discovery import Discovery
from otel_ebpf.identity.kubernetes import PodsOfNode
from otel_ebpf.identity.model import Container
from otel_ebpf.identity.pods import deployment_of, known_pod
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.services import Services
from otel_ebpf.identity.surroundings import Surroundings
from otel_ebpf.kernel.ledger import Entry, Shard
from tests.waiting import wait_for

ID = "ab" * 32


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"nodeName": "node-1", "containers": [{"name": "web", "image": "till:1.2"}]}
    return {"metadata": {"uid": f"uid-{name}", "name": name, **metadata}, "spec": spec}


@pytest.fixture
def api() -> Iterator[Api]:
    with stand_in() as made:
        yield made


@pytest.fixture
def follow(api: Api) -> Iterator[Callable[[], PodsOfNode]]:
    """Start to follow the pods of `node-1` by the API server as it stands."""
    made: list[PodsOfNode] = []

    def start() -> PodsOfNode:
        made.append(PodsOfNode(ApiServer(api.url, "/nowhere"), "node-1"))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def listed(*pods: dict[str, Any], version: str = "7", more: str = "") -> tuple[int, Any]:
    return 200, {"items": list(pods), "metadata": {"resourceVersion": version, "continue": more}}


def name_of(pods: PodsOfNode, name: str) -> str:
    found = pods.facts(f"uid-{name}", ID)
    return found[0].name if found else ""


def test_a_list_in_pages_and_then_changes(api: Api, follow: Callable[[], PodsOfNode]) -> None:
    api.lists = [listed(pod("a"), more="next"), listed(pod("b"))]
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    api.watches = [(200, [{"type": "ADDED", "object": pod("c", resourceVersion="8")}, bookmark])]
    pods = follow()
    wait_for(lambda: [name_of(pods, name) for name in "abc"] == ["a", "b", "c"])
    assert "fieldSelector=spec.nodeName%3Dnode-1" in api.asked[0]
    assert "continue=next" in api.asked[1]
    assert "resourceVersion=7" in api.asked[2]
    wait_for(lambda: len(api.asked) == 4)
    assert "resourceVersion=9" in api.asked[3], "the next watch goes on where the last one stood"


@pytest.mark.parametrize(
    "expired", [(410, []), (200, [{"type": "ERROR", "object": {"kind": "Status", "code": 410}}])]
)
def test_a_version_that_is_too_old(
    api: Api, follow: Callable[[], PodsOfNode], expired: tuple[int, list[Any]]
) -> None:
    api.lists = [listed(pod("a")), listed(pod("b"), version="20")]
    api.watches = [expired]
    pods = follow()
    wait_for(lambda: name_of(pods, "b"))
    assert name_of(pods, "a"), "what has gone is kept for a while"
    wait_for(lambda: "resourceVersion=20" in api.asked[-1])


@pytest.mark.parametrize(
    "wrong",
    [
        (500, []),
        (401, []),
        (200, [b"no json\n"]),
        (200, [b"[1]\n"]),
        (200, [b"[" * 100_000 + b"\n"]),
        (200, [{"type": "ERROR", "object": {"code": 500}}]),
        (200, [{"type": "ADDED", "object": [1]}, {"type": 1, "object": None}, b"\xff\n"]),
    ],
)
def test_answers_that_are_wrong_are_asked_for_again(
    api: Api, follow: Callable[[], PodsOfNode], wrong: tuple[int, list[Any]]
) -> None:
    api.lists = [listed(pod("a")), listed(pod("b"))]
    api.watches = [wrong]
    pods = follow()
    wait_for(lambda: name_of(pods, "b"))
    assert name_of(pods, "a")


def test_a_server_that_does_not_answer_is_hoped_for_only_at_first(
    api: Api, follow: Callable[[], PodsOfNode]
) -> None:
    api.lists = [(503, {})] * 2 + [listed(pod("a"))]
    pods = follow()
    wait_for(lambda: not pods.hopeful)
    wait_for(lambda: name_of(pods, "a"))
    wait_for(lambda: pods.hopeful)


def test_a_server_that_holds_its_answer_is_waited_for_no_longer_than_the_bound(
    api: Api, follow: Callable[[], PodsOfNode]
) -> None:
    """It has not answered when the process's time is over: that goes on without, and is counted."""
    api.holds = True
    pods = follow()
    wait_for(lambda: api.asked)
    now, shard = [0.0], Shard()
    services = Services(
        Resources(host=(), boot_id="b"),
        Discovery(Rules()),
        clock=lambda: now[0],
        shard=shard,
        surroundings=Surroundings([], pods),
        wait_seconds=1.0,
    )
    uid = "8f2c1d6e-0a4b-4c7d-9e1f-112233445566"
    group = (f"cri-containerd-{ID}.scope".encode(), f"kubepods-pod{uid.replace('-', '_')}.slice".encode())
    services.seen(notice(unified=group))
    assert services.waits(vantage())
    now[0] = 0.9
    assert services.settle() == []
    assert shard.counts[Entry.PROCESS_FACTS_LATE] == 0
    now[0] = 1.0
    assert services.settle() == [(4_000_000, 1_000_000_000)]
    assert not services.waits(vantage())
    assert shard.counts[Entry.PROCESS_FACTS_LATE] == 1
    resource = dict(services.service_of(vantage()).resource)
    assert (resource["k8s.pod.uid"], resource["container.id"]) == (uid, ID)
    assert "k8s.pod.name" not in resource
    services.seen(notice(unified=group, process=5, process_start=5))
    assert not services.waits(vantage(process=5, process_start=5)), "the pod is not waited for again"
    assert pods.hopeful, "the answer may still come: it was not this that ended the wait"
    assert len(api.asked) == 1


@pytest.mark.parametrize(("status", "outer"), [(200, "till"), (403, "till"), (404, "till")])
def test_an_owner_is_asked_for_once(
    api: Api, follow: Callable[[], PodsOfNode], status: int, outer: str
) -> None:
    """Where that may not be read, the hash that its controller has put on the pod tells."""
    owner = {"kind": "ReplicaSet", "name": "till-5d4", "uid": "u1", "controller": True}
    facts = {"ownerReferences": [owner], "namespace": "sales", "labels": {"pod-template-hash": "5d4"}}
    deployment = {"kind": "Deployment", "name": "till", "uid": "u2", "controller": True}
    path = "/apis/apps/v1/namespaces/sales/replicasets/till-5d4"
    api.owners[path] = (status, {"metadata": {"ownerReferences": [deployment]}})
    api.lists = [listed(pod("a", **facts), pod("b", **facts))]
    pods = follow()
    wait_for(lambda: name_of(pods, "b"))
    for name in ("a", "b"):
        found = pods.facts(f"uid-{name}", ID)
        assert found is not None
        assert [one[:2] for one in found[0].owners] == [("replicaset", "till-5d4"), ("deployment", outer)]
    assert api.asked.count(path) == 1


def test_a_replica_set_without_the_hash_is_of_no_deployment() -> None:
    assert deployment_of(("replicaset", "till-5d4", ""), {"pod-template-hash": "other"}) is None
    assert deployment_of(("replicaset", "till-5d4", ""), None) is None
    assert deployment_of(("statefulset", "till-5d4", ""), {"pod-template-hash": "5d4"}) is None


def test_containers_that_have_ended_are_known() -> None:
    one = pod("a")
    one["spec"]["initContainers"] = [{"name": "first", "image": "first:1"}]
    ended = {"terminated": {"containerID": f"containerd://{ID}"}}
    one["status"] = {"initContainerStatuses": [{"name": "first", "state": ended}]}
    known = known_pod(one, ())
    assert known is not None
    assert known.container(ID) == Container("", "containerd", "first", "first", ("1",))
    assert known.container("cd" * 32) is None


def test_a_static_pod_is_found_by_its_manifest() -> None:
    known = known_pod(pod("a", annotations={"kubernetes.io/config.mirror": "d" * 32}), ())
    assert known is not None
    assert (known.key, known.pod.uid, known.pod.annotations) == ("d" * 32, "uid-a", {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
PARTS = ("uid", "annotations", "labels", "containers", "containerStatuses", "state", "name", "containerID")


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("metadata", "spec", "status"), st.dictionaries(st.sampled_from(PARTS), JSON))
    )
)
def test_any_object_is_taken(item: dict[str, Any]) -> None:
    known_pod(item, ())
