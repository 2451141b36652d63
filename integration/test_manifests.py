"""What Kubernetes is given, the chart's and the plain manifests: a real API server takes all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from integration.guest.run import CHECKOUT
from integration.harness.certificates import certificates
from integration.harness.helm import helm
from integration.harness.kubernetes import MANIFEST, Cluster, api_server
from otel_ebpf import __version__
from otel_ebpf.config_file import parse

CHART = CHECKOUT / "configs" / "helm" / "otel-ebpf"
VALUES = """
image: {repository: registry.example/otel-ebpf, tag: "1.2", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
endpoint: https://collector.example:4318
env:
  - name: OTEL_EXPORTER_OTLP_HEADERS
    valueFrom: {secretKeyRef: {name: collector, key: headers}}
config:
  discovery: {exclude: [{namespace: kube-system}]}
  kubernetes: {cluster: here}
resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {memory: 1Gi}}
tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]
nodeSelector: {kubernetes.io/os: linux}
priorityClassName: system-node-critical
podAnnotations: {team: blue}
"""

pytestmark = pytest.mark.timeout(1800)  # building the API server for the first time takes minutes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with TemporaryDirectory(prefix="api-") as folder, api_server(Path(folder), certificates()) as cluster:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "otel-ebpf"}})
        yield cluster


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What it makes with every value set."""
    values = tmp_path_factory.mktemp("chart") / "values.yaml"
    values.write_text(VALUES)
    assert set(yaml.safe_load(VALUES)) == set(yaml.safe_load((CHART / "values.yaml").read_text()))
    return rendered("--values", str(values))


def rendered(*options: str) -> list[dict[str, Any]]:
    made = helm("template", "otel-ebpf", CHART, "--namespace=otel-ebpf", "--kube-version=1.34", *options)
    return [thing for thing in yaml.safe_load_all(made) if thing]


def of_kind(things: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (thing for thing in things if thing["kind"] == kind)
    return found


def test_the_server_takes_the_manifests(cluster: Cluster) -> None:
    for path in MANIFEST.parent.glob("*.yaml"):
        for thing in yaml.safe_load_all(path.read_text()):
            if thing["kind"] == "Namespace":
                continue  # is there
            if not thing["kind"].startswith("Cluster"):
                thing["metadata"].setdefault("namespace", "otel-ebpf")
            cluster.check(thing)


def test_the_server_refuses_what_is_not_known(cluster: Cluster) -> None:
    """Else the other tests would show nothing."""
    daemons = of_kind(list(yaml.safe_load_all(MANIFEST.read_text())), "DaemonSet")
    daemons["spec"]["template"]["spec"]["containers"][0]["lifenessProbe"] = {}
    with pytest.raises(AssertionError, match="lifenessProbe"):
        cluster.check(daemons)


def test_the_server_takes_what_the_chart_makes(cluster: Cluster, chart: list[dict[str, Any]]) -> None:
    for thing in [*rendered(), *chart]:
        cluster.check(thing)


def test_the_chart_makes_what_the_manifest_has() -> None:
    things = rendered("--set=image.tag=latest")
    for wanted in yaml.safe_load_all(MANIFEST.read_text()):
        if wanted["kind"] != "Namespace":
            made = of_kind(things, wanted["kind"])
            for one in (wanted, made):
                one["metadata"].pop("labels", None)
            if made["kind"] == "DaemonSet":
                made["spec"]["template"]["spec"]["containers"][0].pop("imagePullPolicy")
            elif made["kind"] != "ServiceAccount":
                for one in (wanted, made):
                    one["metadata"].pop("namespace", None)
            assert made == wanted


def test_every_value_is_used(chart: list[dict[str, Any]]) -> None:
    pod = of_kind(chart, "DaemonSet")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    wanted = yaml.safe_load(VALUES)
    for key in ("imagePullSecrets", "tolerations", "nodeSelector", "priorityClassName"):
        assert pod["spec"][key] == wanted[key]
    assert container["image"] == "registry.example/otel-ebpf:1.2"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == wanted["resources"]
    assert container["env"][0]["value"] == wanted["endpoint"]
    assert wanted["env"][0] in container["env"]
    assert pod["metadata"]["annotations"]["team"] == "blue"
    config = of_kind(chart, "ConfigMap")["data"]["otel-ebpf.yaml"]
    assert parse(config).kubernetes.cluster == "here"
    assert container["args"] == ["run", "--config", "/etc/otel-ebpf/otel-ebpf.yaml"]


def test_the_chart_is_of_this_version() -> None:
    helm("lint", "--strict", CHART)
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_configurations_of_manifests_can_be_used() -> None:
    sidecar = MANIFEST.parent / "sidecar.yaml"
    config = of_kind(list(yaml.safe_load_all(sidecar.read_text())), "ConfigMap")["data"]["otel-ebpf.yaml"]
    assert parse(config).discovery.include
