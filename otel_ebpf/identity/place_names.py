"""Names by where a process runs: what its pod is called by those who deployed it, or its container."""

from __future__ import annotations

from collections.abc import Mapping

from otel_ebpf.identity.model import Pod, Process

__all__ = ["container_name", "label_name", "name_of_pod", "namespace_of_pod", "pod_name", "pod_namespace"]

# https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/
ANNOTATION = "resource.opentelemetry.io/"
_POD_LABELS = ("app.kubernetes.io/instance", "app.kubernetes.io/name")
_COMPOSE = ("com.docker.compose.service", "io.podman.compose.service")


def pod_name(process: Process) -> str:
    """Return what a pod says its service is, else its owner's name, its own, its container's; "" for none."""
    if process.pod is None:
        return ""
    return name_of_pod(process.pod) or (process.container.name if process.container else "")


def name_of_pod(pod: Pod) -> str:
    """Return what a pod says its service is, else its owner's name, its own; "" for none."""
    owner = pod.owners[-1][1] if pod.owners else ""
    said = pod.annotations.get(f"{ANNOTATION}service.name", "")
    return said or label_name(pod.labels) or owner or pod.name


def label_name(labels: Mapping[str, str]) -> str:
    """Return what the labels of a pod or a service say that it is called, "" for nothing."""
    return next((name for label in _POD_LABELS if (name := labels.get(label, ""))), "")


def pod_namespace(process: Process) -> str:
    """Return the `service.namespace` of a pod: what it says, else its Kubernetes namespace."""
    return namespace_of_pod(process.pod) if process.pod else ""


def namespace_of_pod(pod: Pod) -> str:
    """Return what a pod says its service's namespace is, else its own."""
    return pod.annotations.get(f"{ANNOTATION}service.namespace", "") or pod.namespace


def container_name(process: Process) -> str:
    """Return the service of a compose file that a container is of, else its own name, "" for none."""
    container = process.container
    if container is None:
        return ""
    services = (container.labels.get(label, "") for label in _COMPOSE)
    return next((name for name in (*services, container.name) if name), "")
