"""Where a process runs: the facts of its container and pod, put together from who knows them.

Only what has come already is looked at. Whether more may still come is said beside it, and how long
to wait for that is `identity.waiting`'s to decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from otel_ebpf.identity.cgroups import NOWHERE, place_of
from otel_ebpf.identity.model import Container, Pod, Process

__all__ = ["ContainerSource", "Placed", "PodSource", "Surroundings"]

_NAMED_BY_ID = frozenset(("systemd-nspawn", "lxc"))


class ContainerSource(Protocol):
    """Who knows containers. Nothing here waits."""

    @property
    def hopeful(self) -> bool:
        """Whether what is not known yet may come soon."""

    def serves(self, runtime: str) -> bool:
        """Whether that runtime's containers ("" for unknown) may be this source's."""

    def facts(self, identifier: str) -> Container | None:
        """Return what is known of a container."""


class PodSource(Protocol):
    """Who knows pods. Nothing here waits."""

    @property
    def hopeful(self) -> bool:
        """Whether what is not known yet may come soon."""

    def facts(self, uid: str, container: str) -> tuple[Pod, Container | None] | None:
        """Return what is known of a pod, and of one container in it."""


class Placed(NamedTuple):
    """A process with what is known of where it runs.

    `complete` is whether nobody knows more. `hopeful` is whether more may come soon.
    """

    process: Process
    complete: bool
    hopeful: bool


class Surroundings:
    """Asks the sources. One thread uses it."""

    def __init__(self, containers: Sequence[ContainerSource] = (), pods: PodSource | None = None) -> None:
        self._containers = tuple(containers)
        self._pods = pods

    def place(self, process: Process) -> Placed:
        """Return what is known now."""
        place = place_of(process.cgroup)
        if place == NOWHERE:
            return Placed(process, True, False)
        named = place.container if place.runtime in _NAMED_BY_ID else ""
        container = Container(place.container, place.runtime, named)
        pod = Pod(place.pod) if place.pod else None
        told = None
        if pod and self._pods is not None:
            pod, told = self._pods.facts(pod.uid, container.identifier) or (pod, None)
            complete, hopeful = told is not None, self._pods.hopeful
        else:
            complete, hopeful = True, False
        if told is None:  # who runs it may know, or may not be asked about pods
            asked = [source for source in self._containers if source.serves(container.runtime)]
            told = next((found for source in asked if (found := source.facts(container.identifier))), None)
            complete &= told is not None or not asked
            hopeful |= told is None and any(source.hopeful for source in asked)
        if pod is not None and not pod.name and told is not None:
            pod = _labelled(pod, told)
        placed = dataclasses.replace(process, container=_merged(container, told), pod=pod)
        return Placed(placed, complete, hopeful and not complete)


def _labelled(pod: Pod, container: Container) -> Pod:
    """Return a pod by what the kubelet has put on its container."""
    name, namespace = (
        container.labels.get(f"io.kubernetes.pod.{what}", "") for what in ("name", "namespace")
    )
    return dataclasses.replace(pod, name=name, namespace=namespace)


def _merged(first: Container, second: Container | None) -> Container:
    """Return what the first says, and where that is nothing, the second."""
    if second is None:
        return first
    return Container(
        first.identifier or second.identifier,
        first.runtime or second.runtime,
        first.name or second.name,
        first.image or second.image,
        first.tags or second.tags,
        first.labels or second.labels,
    )
