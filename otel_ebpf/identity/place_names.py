"""Names by where a process runs: what its pod is called by those who deployed it, or its container."""

from __future__ import annotations

from otel_ebpf.identity.model import Process

__all__ = ["container_name", "pod_name", "pod_namespace"]

# https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/
ANNOTATION = "resource.opentelemetry.io/"
_POD_LABELS = ("app.kubernetes.io/instance", "app.kubernetes.io/name")
_COMPOSE = ("com.docker.compose.service", "io.podman.compose.service")


def pod_name(process: Process) -> str:
    """Return what a pod says its service is, else its owner's name, its own, its container's; "" for none."""
    pod = process.pod
    if pod is None:
        return ""
    said = [pod.annotations.get(f"{ANNOTATION}service.name", "")]
    said += [pod.labels.get(label, "") for label in _POD_LABELS]
    owner = pod.owners[-1][1] if pod.owners else ""
    container = process.container.name if process.container else ""
    return next((name for name in (*said, owner, pod.name, container) if name), "")


def pod_namespace(process: Process) -> str:
    """Return the `service.namespace` of a pod: what it says, else its Kubernetes namespace."""
    pod = process.pod
    return pod.annotations.get(f"{ANNOTATION}service.namespace", "") or pod.namespace if pod else ""


def container_name(process: Process) -> str:
    """Return the service of a compose file that a container is of, else its own name, "" for none."""
    container = process.container
    if container is None:
        return ""
    services = (container.labels.get(label, "") for label in _COMPOSE)
    return next((name for name in (*services, container.name) if name), "")
