"""Who is asked about containers and pods, as the configuration says."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from otel_ebpf.config import Config
from otel_ebpf.config_places import Kubernetes
from otel_ebpf.identity.cri import CriSource
from otel_ebpf.identity.docker import DockerSource
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.identity.surroundings import Surroundings
from otel_ebpf.kernel.ledger import Shard

if TYPE_CHECKING:
    from otel_ebpf.identity.kubernetes import PodsOfNode
    from otel_ebpf.identity.kubernetes_peers import PeersOfCluster

__all__ = ["Sources"]

logger = logging.getLogger(__name__)

_HOST = "/proc/1/root"  # the host's files, where the agent's container shares its processes


class Sources:
    """All sources: started before the first process is looked at, so that they know the most by then.

    `peer_names` is who answers where, None where that is not asked for; it counts in `shard`.
    """

    def __init__(self, config: Config, shard: Shard, variables: Mapping[str, str] = os.environ) -> None:
        asked = config.containers
        self._containers: list[DockerSource | CriSource] = [
            *(DockerSource(_where_it_is(path), "docker") for path in asked.docker),
            *(DockerSource(_where_it_is(path), "podman") for path in asked.podman),
            *(CriSource(_where_it_is(path)) for path in asked.cri),
        ]
        self.peer_names = PeerNames(shard) if config.kubernetes.peers else None
        self._pods, self._peers = _cluster(config.kubernetes, variables, self.peer_names)

    def start(self) -> None:
        """Begin to ask."""
        for source in self._all():
            source.start()

    def stop(self) -> None:
        """Ask no more."""
        for source in self._all():
            source.stop()

    def surroundings(self) -> Surroundings:
        """Return what puts together what they say."""
        return Surroundings(self._containers, self._pods)

    def _all(self) -> list[DockerSource | CriSource | PodsOfNode | PeersOfCluster]:
        return [*self._containers, *([self._pods] if self._pods else []), *self._peers]


def _cluster(
    config: Kubernetes, variables: Mapping[str, str], names: PeerNames | None
) -> tuple[PodsOfNode | None, list[PeersOfCluster]]:
    """Return who knows this node's pods, and who the cluster's peers; none where none can be asked."""
    if config.enabled == "off":
        return None, []
    host, port = (variables.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    inside = f"https://[{host}]:{port or 443}" if ":" in host else f"https://{host}:{port or 443}"
    server = config.api_server or (inside if host else "")
    node = config.node or variables.get("K8S_NODE_NAME", "")
    if server and node:
        # HTTPS takes 3.5 MB: only who has a cluster pays.
        from otel_ebpf.identity.api_server import ApiServer  # noqa: PLC0415
        from otel_ebpf.identity.kubernetes import PodsOfNode  # noqa: PLC0415
        from otel_ebpf.identity.kubernetes_peers import endpoints, services  # noqa: PLC0415

        api = ApiServer(server, config.credentials)
        peers = [services(api, names), endpoints(api, names)] if names is not None else []
        return PodsOfNode(api, node, config.cluster, names), peers
    if server or config.enabled == "on":
        missing = "kubernetes.node, or the variable K8S_NODE_NAME" if server else "kubernetes.api_server"
        logger.warning("pods have no names: set %s (docs/identity.md)", missing)
    return None, []


def _where_it_is(path: str) -> str:
    """Return the path of a socket: the host's where this container has none."""
    host = _HOST + path
    return host if not os.path.exists(path) and os.path.exists(host) else path
