"""What a resource says of where its process runs: `container.*` and `k8s.*`."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.semconv._incubating.attributes import container_attributes as container_names
from opentelemetry.semconv._incubating.attributes import k8s_attributes as k8s
from opentelemetry.semconv._incubating.attributes import service_attributes as service

from otel_ebpf.identity.model import AttributeValue, Container, Pod, Process
from otel_ebpf.identity.names import clean_name
from otel_ebpf.identity.place_names import ANNOTATION

__all__ = ["place_attributes"]

ANNOTATIONS_MAX = 32
_OWNERS = frozenset(("deployment", "replicaset", "statefulset", "daemonset", "job", "cronjob"))
_VERSION = "app.kubernetes.io/version"


def place_attributes(process: Process) -> Iterator[tuple[str, AttributeValue]]:
    """Yield the attributes that are known; a later one of the same name is to win."""
    if process.container is not None:
        yield from _of_container(process.container)
    if process.pod is not None:
        if process.pod.name and process.container is not None and process.container.name:
            yield k8s.K8S_CONTAINER_NAME, clean_name(process.container.name)
        yield from _of_pod(process.pod)


def _of_container(container: Container) -> Iterator[tuple[str, AttributeValue]]:
    told = (
        (container_names.CONTAINER_ID, container.identifier),
        (container_names.CONTAINER_RUNTIME_NAME, container.runtime),
        (container_names.CONTAINER_NAME, container.name),
        (container_names.CONTAINER_IMAGE_NAME, container.image),
    )
    yield from ((key, clean_name(value)) for key, value in told if value)
    if container.tags:
        yield container_names.CONTAINER_IMAGE_TAGS, tuple(map(clean_name, container.tags))


def _of_pod(pod: Pod) -> Iterator[tuple[str, AttributeValue]]:
    told = (
        (k8s.K8S_POD_UID, pod.uid),
        (k8s.K8S_POD_NAME, pod.name),
        (k8s.K8S_NAMESPACE_NAME, pod.namespace),
        (k8s.K8S_NODE_NAME, pod.node),
        (k8s.K8S_CLUSTER_NAME, pod.cluster),
    )
    yield from ((key, clean_name(value)) for key, value in told if value)
    for kind, name, uid in pod.owners:
        if kind in _OWNERS:
            yield f"k8s.{kind}.name", clean_name(name)
            if uid:
                yield f"k8s.{kind}.uid", clean_name(uid)
    if version := pod.labels.get(_VERSION):
        yield service.SERVICE_VERSION, clean_name(version)
    said = [(key, value) for key, value in pod.annotations.items() if key.startswith(ANNOTATION)]
    for key, value in said[:ANNOTATIONS_MAX]:
        if name := clean_name(key.removeprefix(ANNOTATION)):
            yield name, clean_name(value)
