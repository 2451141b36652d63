"""Who is asked about containers and pods, as the configuration says."""

from __future__ import annotations

import os

from otel_ebpf.config import Config
from otel_ebpf.identity.docker import DockerSource
from otel_ebpf.identity.surroundings import Surroundings

__all__ = ["Sources"]

_HOST = "/proc/1/root"  # the host's files, where the agent's container shares its processes


class Sources:
    """All sources: started before the first process is looked at, so that they know the most by then."""

    def __init__(self, config: Config) -> None:
        asked = config.containers
        self._containers = [
            *(DockerSource(_where_it_is(path), "docker") for path in asked.docker),
            *(DockerSource(_where_it_is(path), "podman") for path in asked.podman),
        ]

    def start(self) -> None:
        """Begin to ask those that are there."""
        for source in self._containers:
            source.start()

    def stop(self) -> None:
        """Ask no more."""
        for source in self._containers:
            source.stop()

    def surroundings(self) -> Surroundings:
        """Return what puts together what they say."""
        return Surroundings(self._containers)


def _where_it_is(path: str) -> str:
    """Return the path of a socket: the host's where this container has none."""
    host = _HOST + path
    return host if not os.path.exists(path) and os.path.exists(host) else path
