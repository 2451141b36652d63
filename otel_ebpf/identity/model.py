"""Whose request it was: the values that identity hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AttributeValue = str | int | float | bool | tuple[str, ...]
Attributes = tuple[tuple[str, AttributeValue], ...]


@dataclass(frozen=True, slots=True)
class Container:
    """Facts about one container: id and runtime from its control group, the others from who runs it.

    Everything is empty where it is unknown. `image` is without its tags.
    """

    identifier: str = ""
    runtime: str = ""  # container.runtime.name
    name: str = ""
    image: str = ""
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Pod:
    """Facts about one pod: its uid from the control group, the others from the API server."""

    uid: str
    name: str = ""
    namespace: str = ""
    node: str = ""
    owners: tuple[tuple[str, str, str], ...] = ()  # (kind in lower case, name, uid), the innermost first
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """Facts about one process, from /proc or, when it is already gone, from its kernel record.

    `start` is CLOCK_BOOTTIME nanoseconds and, with `pid` (of the initial namespace), identifies it.
    """

    pid: int
    start: int
    parent: int
    executable: str  # path, or the last component where no more is known; "" where nothing is
    command_line: tuple[str, ...]
    user: int  # real user id, -1 where unknown
    environment: dict[str, str] = field(repr=False)  # OTEL_* only: nothing else is kept
    cgroup: str = ""  # path, "" where unknown
    namespace_pid: int = 0  # pid in its own namespace, 0 where unknown
    visible_pid: int = 0  # pid by which the agent's /proc shows it, 0 where it does not
    directory: str = ""  # working directory as the process sees it, "" where unknown
    container: Container | None = None
    pod: Pod | None = None
    command: str = ""  # what the kernel calls it (comm), only where the executable is not known


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """One observed service: its name, and the resource that its spans and metrics carry.

    Compared and hashed by identity: `identity.services` makes one object for each resource, and
    later stages cache by it. `number` is unique and small.
    """

    number: int
    name: str
    language: str  # telemetry.sdk.language: python, nodejs, java, go, cpp, ruby, php, ... or "unknown"
    resource: Attributes  # the whole resource, service.name and telemetry.* included
