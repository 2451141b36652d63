"""Client spans name who answers at their server's address, by what a real API server says of services."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.asking import Asking
from integration.harness.build import PROGRAMS
from integration.harness.certificates import certificates
from integration.harness.fixtures import account
from integration.harness.kubernetes import MANIFEST, Cluster, api_server
from integration.harness.limits import wait_until
from integration.harness.network import one_network
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT
from otel_ebpf.identity import api_server as asked
from otel_ebpf.identity.api_server import ApiServer
from otel_ebpf.identity.kubernetes_peers import PeersOfCluster, endpoints, services
from otel_ebpf.identity.peer_names import Peer, PeerNames
from otel_ebpf.kernel.ledger import Shard

__all__ = ["account"]

StartAgent = Callable[..., Traced]
SERVICE, POD, LONELY = "10.96.0.50", "10.232.0.7", "10.232.0.8"

pytestmark = pytest.mark.timeout(1800)  # building the API server for the first time takes minutes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """An API server that knows the agent's account by the manifests that users apply."""
    with TemporaryDirectory(prefix="api-") as folder, api_server(Path(folder), certificates()) as cluster:
        cluster.apply(MANIFEST)
        cluster.apply(MANIFEST.with_name("peers.yaml"))
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sales"}})
        yield cluster


@contextmanager
def _followed(cluster: Cluster, account: Path) -> Iterator[tuple[PeerNames, list[PeersOfCluster]]]:
    names, server = PeerNames(Shard()), ApiServer(cluster.url, str(account))
    followers = [services(server, names), endpoints(server, names)]
    for one in followers:
        one.start()
    yield names, followers
    for one in followers:
        one.stop()


def test_without_the_right_to_follow_them(cluster: Cluster, account: Path, tmp_path: Path) -> None:
    cluster.service("first", 80, "10.96.0.9")
    metadata = {"name": "stranger", "namespace": "sales"}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    (tmp_path / "ca.crt").write_bytes((account / "ca.crt").read_bytes())
    (tmp_path / "token").write_text(cluster.token("sales", "stranger"))
    with _followed(cluster, tmp_path) as (names, followers):
        assert wait_until(lambda: not any(one.hopeful for one in followers))
        assert names.at("10.96.0.9", 80) is None
        (tmp_path / "token").write_text((account / "token").read_text())
        assert wait_until(lambda: names.at("10.96.0.9", 80)), "it is asked again"


def test_whom_a_client_asks(start_agent: StartAgent, cluster: Cluster, account: Path) -> None:
    """A service by its cluster IP, a pod of it, a pod of none; one that changes hands, and one that goes."""
    port = free_port()
    cluster.service("till", port, SERVICE)
    cluster.endpoints("till", port, POD)
    pod = cluster.pod("lonely", None, ["web"])
    status = {"status": {"phase": "Running", "podIP": LONELY, "podIPs": [{"ip": LONELY}]}}
    path = f"/api/v1/namespaces/sales/pods/{pod['metadata']['name']}/status"
    cluster.call("PATCH", path, status, "application/strategic-merge-patch+json")
    config = {
        "kubernetes": {
            "enabled": "on",
            "node": "node-1",
            "api_server": cluster.url,
            "credentials": str(account),
            "peers": True,
        },
    }
    with one_network() as network, TemporaryDirectory() as empty:
        network.add(SERVICE, POD, LONELY)
        server = [*network.within, sys.executable, "-m", "http.server", "--protocol=HTTP/1.1"]
        client = [*network.within, sys.executable, PROGRAMS / "clients" / "asking_client.py"]
        with Program([*server, f"--directory={empty}", str(port)]), Asking(client, {}) as asking:
            network.wait_listening(port)
            alone = {"discovery": {"include": [{"pids": asking.pids}]}}
            traced = start_agent(RUNGS[0], config=config | alone)

            def named(address: str) -> set[tuple[Any, Any]]:
                """Return whom it says that it has asked, of requests that are the same each time."""
                traced.backend.forget()
                asking.ask(f"http://{address}:{port}/", "same", 3)
                spans = traced.backend.expect(3, port=port, kind=CLIENT, quiet=0)
                told = [span.attributes for span in spans]
                return {(one.get("service.peer.name"), one.get("service.peer.namespace")) for one in told}

            assert wait_until(lambda: named(SERVICE) == {("till", "sales")}, every=0.2)
            assert named(POD) == {("till", "sales")}
            assert named(LONELY) == {("lonely", "sales")}
            assert named("127.0.0.1") == {(None, None)}
            cluster.service("shop", port, **{"app.kubernetes.io/name": "the-shop"})
            cluster.endpoints("till", port)
            cluster.endpoints("shop", port, POD)
            assert wait_until(lambda: named(POD) == {("shop", "sales")}, every=0.2), "another pod has it now"
            cluster.call("DELETE", "/api/v1/namespaces/sales/services/till")
            assert wait_until(lambda: named(SERVICE) == {(None, None)}, every=0.2)
            assert traced.agent.ledger()["peer_addresses_full"] == 0


def test_an_api_server_that_is_away_and_back(
    cluster: Cluster, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known stays known; afterwards, what is gone is found out, and what is new."""
    monkeypatch.setattr(asked, "WATCH_SECONDS", 8)
    cluster.service("old", 80, "10.96.0.60")
    with _followed(cluster, account) as (names, _):
        assert wait_until(lambda: names.at("10.96.0.60", 80))
        with cluster.away():
            assert names.at("10.96.0.60", 80) == Peer("old", "sales")
        cluster.call("DELETE", "/api/v1/namespaces/sales/services/old")
        cluster.service("new", 80, "10.96.0.61")
        assert wait_until(lambda: names.at("10.96.0.61", 80) == Peer("new", "sales"), 80)
        assert wait_until(lambda: names.at("10.96.0.60", 80) is None, 80)
