"""Where a process runs: the facts of its container and pod, put together from who knows them.

Only what has come already is looked at. Whether more may still come is said beside it, and how long
to wait for that is the caller's to decide.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from otel_ebpf.identity.cgroups import NOWHERE, place_of
from otel_ebpf.identity.model import Container, Pod, Process

__all__ = ["ContainerSource", "PodSource", "Surroundings"]

GIVEN_UP_KEPT = 4096
_NAMED_BY_ID = frozenset(("systemd-nspawn", "lxc"))


class ContainerSource(Protocol):
    """Who knows containers. Neither method waits."""

    def facts(self, identifier: str) -> Container | None:
        """Return what is known of a container."""

    def may_know(self, runtime: str) -> bool:
        """Whether facts about a container of that runtime ("" for unknown) may still come."""


class PodSource(Protocol):
    """Who knows pods. Neither method waits."""

    def facts(self, uid: str, container: str) -> tuple[Pod, Container] | None:
        """Return what is known of a pod and of one container in it."""

    def may_know(self) -> bool:
        """Whether facts may still come."""


class Surroundings:
    """Asks the sources. One thread uses it."""

    def __init__(self, containers: Sequence[ContainerSource] = (), pods: PodSource | None = None) -> None:
        self._containers = tuple(containers)
        self._pods = pods
        self._given_up: OrderedDict[str, None] = OrderedDict()

    def place(self, process: Process) -> tuple[Process, bool]:
        """Return the process with what is known of where it runs, and whether that is all there will be."""
        place = place_of(process.cgroup)
        if place == NOWHERE:
            return process, True
        named = place.container if place.runtime in _NAMED_BY_ID else ""
        container = Container(place.container, place.runtime, named)
        known, hopeful = self._container(container)
        pod = Pod(place.pod) if place.pod else None
        if pod and self._pods is not None:
            found = self._pods.facts(pod.uid, container.identifier)
            if found is not None:
                pod, container = found[0], _merged(container, found[1])
                hopeful = False  # of a pod, what the API server knows is enough
            else:
                hopeful |= self._pods.may_know()
        container = _merged(container, known) if known else container
        key = container.identifier or place.pod
        done = not hopeful or key in self._given_up
        return dataclasses.replace(process, container=container, pod=pod), done

    def give_up(self, process: Process) -> None:
        """Wait no more for the facts of a process's container, which did not come in time."""
        place = place_of(process.cgroup)
        self._given_up[place.container or place.pod] = None
        if len(self._given_up) > GIVEN_UP_KEPT:
            self._given_up.popitem(last=False)

    def _container(self, container: Container) -> tuple[Container | None, bool]:
        """Return what a runtime says of a container, and whether one may still."""
        for source in self._containers:
            found = source.facts(container.identifier)
            if found is not None:
                return found, False
        asked = bool(container.identifier)
        return None, asked and any(source.may_know(container.runtime) for source in self._containers)


def _merged(first: Container, second: Container) -> Container:
    """Return what the first says, and where that is nothing, the second."""
    return Container(
        first.identifier or second.identifier,
        first.runtime or second.runtime,
        first.name or second.name,
        first.image or second.image,
        first.tags or second.tags,
        first.labels or second.labels,
    )
