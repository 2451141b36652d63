"""Requests of pods: a real API server tells of them, and containers run in control groups like theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.containers import container_that_serves, docker_with_image
from integration.harness.fixtures import account
from integration.harness.kubernetes import MANIFEST, Cluster, api_server, slow_api_server
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.ports import free_port
from integration.harness.rungs import RUNGS
from integration.harness.spans import SERVER
from integration.image.daemon import Daemon
from otel_ebpf.identity.api_server import ApiServer
from otel_ebpf.identity.kubernetes import PodsOfNode

__all__ = ["account"]

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # who it was is the same on every rung
SELECTOR = {"matchLabels": {"app": "till"}}
TEMPLATE = {
    "metadata": {"labels": {"app": "till"}},
    "spec": {"containers": [{"name": "web", "image": "registry:5000/shop/till:1.2"}]},
}
JOB = {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}

pytestmark = pytest.mark.timeout(1800)  # building the API server for the first time takes minutes


@pytest.fixture(scope="module")
def docker() -> Iterator[Daemon]:
    with docker_with_image() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """An API server that knows the agent's account by the manifest that users apply."""
    with TemporaryDirectory(prefix="api-") as folder, api_server(Path(folder), certificates()) as cluster:
        cluster.apply(MANIFEST)
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sales"}})
        yield cluster


def _config(url: str, account: Path, wait: int = 1000) -> dict[str, Any]:
    asked = {"enabled": "on", "node": "node-1", "cluster": "here", "api_server": url}
    return {
        "kubernetes": {**asked, "credentials": str(account)},
        "containers": {"docker": [], "podman": [], "wait_milliseconds": wait},
        "discovery": {"include": [{"executable": "*/busybox"}, {"executable": "busybox"}]},
    }


@contextmanager
def _container(docker: Daemon, pod: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Run a container of a pod; yield its id and port."""
    parent = f"--cgroup-parent=/kubepods/burstable/pod{pod['metadata']['uid']}"
    with container_that_serves(docker, parent) as running:
        yield running


def test_a_pod_of_a_deployment(
    start_agent: StartAgent, docker: Daemon, cluster: Cluster, account: Path
) -> None:
    """Made while the agent runs: it has its name, its owners and its container from the first request."""
    traced = start_agent(RUNG, config=_config(cluster.url, account))
    workload = {"selector": SELECTOR, "template": TEMPLATE}
    deployment = cluster.owned("Deployment", "apps/v1", "till", workload)
    replicas = cluster.owned("ReplicaSet", "apps/v1", "till-5d4", workload, deployment)
    pod = cluster.pod("till-5d4-x", replicas, ["web", "helper"])
    with _container(docker, pod) as (identifier, port):
        cluster.running(pod, {"web": identifier, "helper": "f" * 64})
        drive(port, ["/"] * 2)
        for span in traced.backend.expect(2, port=port, kind=SERVER):
            wanted = {
                "service.name": "till",
                "service.namespace": "sales",
                "k8s.cluster.name": "here",
                "k8s.namespace.name": "sales",
                "k8s.node.name": "node-1",
                "k8s.pod.name": "till-5d4-x",
                "k8s.pod.uid": pod["metadata"]["uid"],
                "k8s.container.name": "web",
                "k8s.replicaset.name": "till-5d4",
                "k8s.replicaset.uid": replicas["metadata"]["uid"],
                "k8s.deployment.name": "till",
                "k8s.deployment.uid": deployment["metadata"]["uid"],
                "container.id": identifier,
                "container.name": "web",
                "container.image.name": "registry:5000/shop/till",
                "container.image.tags": ["1.2"],
                "container.runtime.name": "containerd",
            }
            assert {key: span.resource.get(key) for key in wanted} == wanted
    assert traced.agent.ledger()["process_facts_late"] == 0


def test_owners_and_what_pods_say_of_themselves(
    start_agent: StartAgent, docker: Daemon, cluster: Cluster, account: Path
) -> None:
    """From before the agent: by owner, by label and by annotation."""
    workload = {"selector": SELECTOR, "template": TEMPLATE}
    cron = {"schedule": "0 0 * * *", "jobTemplate": {"spec": JOB}}
    owners = {
        "stateful": cluster.owned("StatefulSet", "apps/v1", "store", {**workload, "serviceName": "store"}),
        "daemon": cluster.owned("DaemonSet", "apps/v1", "daemon", workload),
        "job": cluster.owned("Job", "batch/v1", "once", JOB),
    }
    nightly = cluster.owned("CronJob", "batch/v1", "nightly", cron)
    owners["cron"] = cluster.owned("Job", "batch/v1", "nightly-29000000", JOB, nightly)
    pods = {name: cluster.pod(f"{name}-0", owner, ["web"]) for name, owner in owners.items()}
    labels = {"app.kubernetes.io/name": "named", "app.kubernetes.io/version": "3.4"}
    pods["labelled"] = cluster.pod("labelled", None, ["web"], labels=labels)
    said = {"resource.opentelemetry.io/service.name": "said", "resource.opentelemetry.io/team": "blue"}
    pods["annotated"] = cluster.pod("annotated", None, ["web"], labels=labels, annotations=said)
    wanted: dict[str, dict[str, str]] = {
        "stateful": {"service.name": "store", "k8s.statefulset.name": "store"},
        "daemon": {"service.name": "daemon", "k8s.daemonset.name": "daemon"},
        "job": {"service.name": "once", "k8s.job.name": "once"},
        "cron": {
            "service.name": "nightly",
            "k8s.cronjob.name": "nightly",
            "k8s.job.name": "nightly-29000000",
        },
        "labelled": {"service.name": "named", "service.version": "3.4"},
        "annotated": {"service.name": "said", "team": "blue"},
    }
    wanted["cron"]["k8s.cronjob.name"] = "nightly"
    traced = start_agent(RUNG, config=_config(cluster.url, account))
    for name, pod in pods.items():
        with _container(docker, pod) as (_, port):  # no status tells its id: its pod has no other
            drive(port, ["/"])
            (span,) = traced.backend.expect(1, port=port, kind=SERVER, quiet=0)
            told = {**wanted[name], "k8s.container.name": "web", "k8s.pod.name": pod["metadata"]["name"]}
            assert {key: span.resource.get(key) for key in told} == told


def test_pods_are_selected(start_agent: StartAgent, docker: Daemon, cluster: Cluster, account: Path) -> None:
    """By namespace and label; what a rule says of a pod waits for what is known of it."""
    config = _config(cluster.url, account)
    config["discovery"] = {"include": [{"namespace": "sales", "pod_labels": ["tier=front*"]}]}
    traced = start_agent(RUNG, config=config)
    front = cluster.pod("front", None, ["web"], labels={"tier": "frontend"})
    back = cluster.pod("back", None, ["web"], labels={"tier": "backend"})
    with _container(docker, front) as (_, wanted), _container(docker, back) as (_, other):
        for port in (wanted, other):
            drive(port, ["/"] * 2)
        traced.backend.expect(2, port=wanted, kind=SERVER)
        assert {span.port for span in traced.backend.spans()} == {wanted}


def test_a_status_that_comes_late(
    start_agent: StartAgent, docker: Daemon, cluster: Cluster, account: Path
) -> None:
    """Requests before the kubelet has told the container's id are held; beyond the bound they go without."""
    traced = start_agent(RUNG, config=_config(cluster.url, account, wait=10_000))
    pod = cluster.pod("late", None, ["web", "helper"])
    with _container(docker, pod) as (identifier, port):
        drive(port, ["/"])
        traced.backend.expect_none(port=port, kind=SERVER)
        cluster.running(pod, {"helper": identifier})
        (span,) = traced.backend.expect(1, port=port, kind=SERVER)
        assert span.resource["k8s.container.name"] == "helper"


def test_a_status_that_comes_too_late(
    start_agent: StartAgent, docker: Daemon, cluster: Cluster, account: Path
) -> None:
    traced = start_agent(RUNG, config=_config(cluster.url, account, wait=200))
    pod = cluster.pod("too-late", None, ["web", "helper"])
    with _container(docker, pod) as (identifier, port):
        drive(port, ["/"])
        (span,) = traced.backend.expect(1, port=port, kind=SERVER)
        assert span.resource["k8s.pod.name"] == "too-late"
        assert "k8s.container.name" not in span.resource
        assert traced.agent.ledger()["process_facts_late"] >= 1
        cluster.running(pod, {"helper": identifier})

        def is_known() -> bool:
            drive(port, ["/"])
            return any("k8s.container.name" in one.resource for one in traced.backend.spans(port, SERVER))

        assert wait_until(is_known, every=0.5)


def test_an_api_server_that_is_away(start_agent: StartAgent, docker: Daemon, account: Path) -> None:
    traced = start_agent(RUNG, config=_config(f"https://127.0.0.1:{free_port()}", account))
    uid = "8f2c1d6e-0a4b-4c7d-9e1f-112233445566"
    with _container(docker, {"metadata": {"uid": uid}}) as (identifier, port):
        drive(port, ["/"])
        (span,) = traced.backend.expect(1, port=port, kind=SERVER)
        assert (span.resource["k8s.pod.uid"], span.resource["container.id"]) == (uid, identifier)
        assert "k8s.pod.name" not in span.resource


def test_an_api_server_that_is_slow(start_agent: StartAgent, docker: Daemon, account: Path) -> None:
    """It accepts, and its answer never ends: what a pod does leaves all the same, without the pod's name."""
    uid = "8f2c1d6e-0a4b-4c7d-9e1f-112233445577"
    with slow_api_server() as server, _container(docker, {"metadata": {"uid": uid}}) as (identifier, port):
        traced = start_agent(RUNG, config=_config(server.url, account))
        assert wait_until(lambda: server.asked)
        drive(port, ["/"])
        (span,) = traced.backend.expect(1, port=port, kind=SERVER)
        assert (span.resource["k8s.pod.uid"], span.resource["container.id"]) == (uid, identifier)
        assert "k8s.pod.name" not in span.resource
        assert traced.agent.ledger()["process_facts_late"] >= 1
        assert len(server.asked) == 1, "the answer was given up: that ends the wait too"


ALLOWED = {
    "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1": 200,
    "/api/v1/pods?watch=1&timeoutSeconds=1&fieldSelector=spec.nodeName%3Dnode-1": 200,
    "/apis/apps/v1/namespaces/sales/replicasets/none": 404,
    "/apis/batch/v1/namespaces/sales/jobs/none": 404,
}
FORBIDDEN = [
    *(("GET", f"/api/v1/{kind}") for kind in ("secrets", "configmaps", "nodes", "services", "namespaces")),
    ("GET", "/api/v1/namespaces/sales/secrets/any"),
    ("GET", "/api/v1/nodes/node-1"),
    ("GET", "/api/v1/nodes/node-1/proxy/metrics"),
    ("GET", "/apis/discovery.k8s.io/v1/endpointslices"),
    ("GET", "/apis/apps/v1/replicasets"),
    ("GET", "/apis/apps/v1/namespaces/sales/deployments/till"),
    ("GET", "/apis/batch/v1/jobs"),
    ("GET", "/api/v1/namespaces/sales/pods/kept/log"),
    ("POST", "/api/v1/namespaces/sales/pods"),
    ("POST", "/api/v1/namespaces/sales/pods/kept/exec?command=sh"),
    ("PATCH", "/api/v1/namespaces/sales/pods/kept"),
    ("DELETE", "/api/v1/namespaces/sales/pods/kept"),
    ("DELETE", "/api/v1/namespaces/sales/pods"),
]


def test_the_account_may_do_no_more_than_it_needs(cluster: Cluster, account: Path) -> None:
    """By the agent's own token: what it asks for is answered, and nothing else."""
    token = (account / "token").read_text()
    pod = cluster.pod("kept", None, ["web"])
    assert {path: cluster.status(token, "GET", path) for path in ALLOWED} == ALLOWED
    assert cluster.status("of nobody", "GET", "/api/v1/pods") == 401
    answers = {request: cluster.status(token, *request) for request in FORBIDDEN}
    assert answers == dict.fromkeys(FORBIDDEN, 403)
    kept = cluster.call("GET", "/api/v1/namespaces/sales/pods/kept")
    assert kept["metadata"]["uid"] == pod["metadata"]["uid"]


def test_only_this_node_s_pods_until_they_are_deleted(cluster: Cluster, account: Path) -> None:
    pods = PodsOfNode(ApiServer(cluster.url, str(account)), "node-2")
    pods.start()
    here = cluster.pod("elsewhere", None, ["web"])
    there = cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "there", "namespace": "sales"},
            "spec": {"nodeName": "node-2", "containers": [{"name": "web", "image": "till"}]},
        }
    )
    uid = there["metadata"]["uid"]
    assert wait_until(lambda: pods.facts(uid, ""))
    assert pods.facts(here["metadata"]["uid"], "") is None
    cluster.call("DELETE", "/api/v1/namespaces/sales/pods/there?gracePeriodSeconds=0")
    assert pods.facts(uid, ""), "records of it may still come"
    pods.stop()


def test_a_token_that_is_replaced(cluster: Cluster, account: Path, tmp_path: Path) -> None:
    """The kubelet writes another before one expires: each request has the one that is there."""
    (tmp_path / "ca.crt").write_bytes((account / "ca.crt").read_bytes())
    (tmp_path / "token").write_text("expired")
    pods = PodsOfNode(ApiServer(cluster.url, str(tmp_path)), "node-1")
    pods.start()
    pod = cluster.pod("another", None, ["web"])
    assert wait_until(lambda: not pods.hopeful)
    assert pods.facts(pod["metadata"]["uid"], "") is None
    (tmp_path / "token").write_text((account / "token").read_text())
    assert wait_until(lambda: pods.facts(pod["metadata"]["uid"], ""))
    pods.stop()


def test_a_server_of_another_authority_is_not_believed(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(certificates().stranger.read_bytes())
    pods = PodsOfNode(ApiServer(cluster.url, str(tmp_path)), "node-1")
    pods.start()
    assert wait_until(lambda: not pods.hopeful)
    pods.stop()
