"""Who answers at an address of a cluster, by what the API server says of services and pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_support import Api, stand_in

from otel_ebpf.identity.api_server import ApiServer
from otel_ebpf.identity.kubernetes_peers import services
from otel_ebpf.identity.peer_names import ASKED_MAX, Address, Peer, PeerNames
from otel_ebpf.identity.peer_objects import endpoints_of, service_of
from otel_ebpf.identity.pods import known_pod
from otel_ebpf.kernel.ledger import Entry, Shard
from tests.waiting import wait_for

TILL, SHOP = Peer("till", "sales"), Peer("shop", "sales")
HERE = Address("10.0.0.1", 80)


def names(capacity: int = 100) -> PeerNames:
    return PeerNames(Shard(), capacity)


def test_an_address_is_whose_object_has_it() -> None:
    peers = names()
    peers.put("a", TILL, [HERE])
    assert peers.at("10.0.0.1", 80) == TILL
    assert peers.at("10.0.0.1", 81) is None
    assert peers.at("10.0.0.2", 80) is None
    peers.put("b", SHOP, [HERE])  # it is given to another pod, before the first is taken away
    peers.remove("a")
    assert peers.at("10.0.0.1", 80) == SHOP
    peers.put("b", SHOP, [])
    peers.remove("a")
    assert peers.at("10.0.0.1", 80) is None


def test_of_several_services_the_one_of_the_shortest_name() -> None:
    """A headless service beside another is for the same pods: it does not matter which of them came last."""
    for order in (("till", "till-headless"), ("till-headless", "till")):
        peers = names()
        for name in order:
            peers.put(name, Peer(name, "sales"), [HERE])
        assert peers.at(*HERE) == TILL


def test_a_pod_s_address_is_nobody_s_where_two_have_it() -> None:
    peers = names()
    peers.put("a", TILL, [Address("10.0.0.1", 0)])
    assert peers.at("10.0.0.1", 8080) == TILL
    peers.put("b", SHOP, [Address("10.0.0.1", 0)])
    assert peers.at("10.0.0.1", 8080) is None
    peers.put("c", SHOP, [HERE])
    assert peers.at(*HERE) == SHOP


def test_addresses_without_room_are_counted() -> None:
    shard = Shard()
    peers = PeerNames(shard, 3)
    peers.put("a", TILL, [Address("10.0.0.1", port) for port in range(5)])
    assert shard.counts[Entry.PEER_ADDRESSES_FULL] == 2
    assert not peers.put("b", SHOP, [Address("10.0.0.2", 80)])
    assert shard.counts[Entry.PEER_ADDRESSES_FULL] == 3
    peers.remove("a")
    assert peers.put("b", SHOP, [Address("10.0.0.2", 80)])
    assert peers.at("10.0.0.2", 80) == SHOP
    assert shard.counts[Entry.PEER_ADDRESSES_FULL] == 3


def test_only_what_was_asked_for_changes_anything() -> None:
    peers = names()
    peers.put("a", TILL, [HERE])
    assert not peers.changed()
    peers.at(*HERE)
    peers.put("b", SHOP, [Address("10.0.0.2", 80)])
    peers.put("a", TILL, [HERE])
    assert not peers.changed(), "neither another's, nor what it was"
    peers.remove("a")
    assert peers.changed()
    assert not peers.changed(), "it is said once"
    for number in range(ASKED_MAX):
        peers.at(f"address {number}", 80)
    assert peers.changed(), "of those that were forgotten a change would not be noticed"


def test_services_and_endpoints() -> None:
    metadata = {"name": "till", "namespace": "sales", "uid": "1"}
    ports = [{"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 443, "protocol": "TCP"}]
    spec = {"clusterIPs": ["10.96.0.9", "fd00:0::9"], "ports": ports}
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example"}]}}
    addresses = ["10.96.0.9", "fd00::9", "203.0.113.7"]
    wanted = [Address(one, port) for one in addresses for port in (80, 443)]
    assert service_of({"metadata": metadata, "spec": spec, "status": status}) == (TILL, wanted)
    assert service_of({"metadata": metadata, "spec": {"clusterIPs": ["None"], "ports": ports}}) == (TILL, [])
    labels = {"kubernetes.io/service-name": "till"}
    slice_ = {
        "metadata": {**metadata, "name": "till-x7k2p", "labels": labels},
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}],
        "ports": ports[:1],
    }
    assert endpoints_of(slice_) == (TILL, [HERE, Address("10.0.0.2", 80)])
    labels["app.kubernetes.io/name"] = "shop"
    assert endpoints_of(slice_) == (SHOP, [HERE, Address("10.0.0.2", 80)]), "as its pods are called"
    assert endpoints_of({"metadata": {"name": "of nobody"}}) is None


def test_addresses_of_a_pod() -> None:
    def addresses(phase: str = "Running", **spec: Any) -> tuple[str, ...]:
        status = {"phase": phase, "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "?"}]}
        known = known_pod({"metadata": {"uid": "1"}, "spec": spec, "status": status}, ())
        assert known is not None
        return known.addresses

    assert addresses() == ("10.0.0.1", "fd00::1")
    assert addresses("Succeeded") == addresses("Failed") == (), "another pod may have them by now"
    assert addresses(hostNetwork=True) == ()


@pytest.fixture
def api() -> Iterator[Api]:
    with stand_in() as made:
        yield made


def service(name: str, version: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "sales", "uid": name, "resourceVersion": version}
    spec = {"clusterIPs": [f"10.0.0.{len(name)}"], "ports": [{"port": 80}]}
    return {"metadata": metadata, "spec": spec}


def bookmark(version: str) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def test_what_is_gone_since_an_earlier_watch(api: Api) -> None:
    """A watch that has expired begins with all there is; what is not among that is gone."""
    there = service("a", "9"), service("bb", "3")
    added = [{"type": "ADDED", "object": one} for one in there]
    api.watches = [
        (200, [*added[:1], b"no json\n"]),  # it breaks off: not all of what is there has come
        (200, added),  # the server ends it, and has told no version
        (200, [*added, bookmark("20"), {"type": "ADDED", "object": service("ccc", "21")}]),
        (410, []),
        (200, [added[1], bookmark("40"), api.held]),
    ]
    peers = names()
    follower = services(ApiServer(api.url, "/nowhere"), peers)
    follower.start()
    wait_for(lambda: len(api.asked) == 5)
    versions = [path.rpartition("resourceVersion=")[2] for path in api.asked]
    assert versions == ["0", "0", "0", "21", "0"]
    wait_for(lambda: peers.at("10.0.0.1", 80) is None)
    assert peers.at("10.0.0.2", 80) == Peer("bb", "sales")
    assert peers.at("10.0.0.3", 80) is None
    follower.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
PARTS = ("name", "labels", "clusterIPs", "ports", "loadBalancer", "ingress", "addresses")


@given(
    st.fixed_dictionaries(
        {part: st.dictionaries(st.sampled_from(PARTS), JSON) for part in ("metadata", "spec", "status")}
        | {part: st.lists(st.dictionaries(st.sampled_from(PARTS), JSON)) for part in ("endpoints", "ports")}
    )
)
def test_any_object_is_taken(item: dict[str, Any]) -> None:
    service_of(item)
    endpoints_of(item)
