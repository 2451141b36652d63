"""The sections of the configuration about where processes run: who is asked for containers and pods."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Containers", "Kubernetes"]

SocketPath = Annotated[str, Meta(min_length=1, max_length=107)]  # sun_path of unix(7), without its NUL


class Containers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names, images and labels of containers, from who runs them."""

    docker: Annotated[
        tuple[SocketPath, ...],
        Meta(max_length=8, description="Sockets of Docker daemons, asked where they are there."),
    ] = ("/run/docker.sock",)
    podman: Annotated[
        tuple[SocketPath, ...], Meta(max_length=8, description="Sockets of Podman's API, the same.")
    ] = ("/run/podman/podman.sock",)
    cri: Annotated[
        tuple[SocketPath, ...],
        Meta(
            max_length=8,
            description="Sockets of the Container Runtime Interface (containerd, CRI-O), the same: for what "
            "the API server does not tell.",
        ),
    ] = ("/run/containerd/containerd.sock", "/run/crio/crio.sock")
    wait_milliseconds: Annotated[
        int,
        Meta(
            ge=0,
            le=10000,
            description="How long what a process does is held for facts about its container or pod that have "
            "not come yet. Then it is reported without them, and counted.",
        ),
    ] = 1000


class Kubernetes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names, owners and labels of this node's pods, from the API server."""

    enabled: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether the API server is asked. `auto`: where the agent runs in a pod, that is "
            "where `KUBERNETES_SERVICE_HOST` is set, and knows its node."
        ),
    ] = "auto"
    node: Annotated[
        str,
        Meta(
            max_length=253,
            description="Name of this node, whose pods are followed. Empty: that of the variable "
            "`K8S_NODE_NAME`.",
        ),
    ] = ""
    cluster: Annotated[
        str, Meta(max_length=255, description="`k8s.cluster.name` of all its pods. Empty: none.")
    ] = ""
    api_server: Annotated[
        str,
        Meta(
            max_length=1024,
            description="URL of the API server. Empty: that of `KUBERNETES_SERVICE_HOST` and "
            "`KUBERNETES_SERVICE_PORT`.",
        ),
    ] = ""
    peers: Annotated[
        bool,
        Meta(
            description="Whether client spans name the service that they ask by its address: the services of "
            "the whole cluster are followed, and where their pods are. Needs `peers.yaml` "
            "(docs/identity.md)."
        ),
    ] = False
    credentials: Annotated[
        str,
        Meta(
            max_length=1024,
            description="Folder of the service account: its `token`, which is read anew for each request, "
            "and `ca.crt`.",
        ),
    ] = "/var/run/secrets/kubernetes.io/serviceaccount"
