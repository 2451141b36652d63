"""Which container and pod a control group is of, by the names that runtimes and the kubelet give it.

    /docker/ID    /system.slice/docker-ID.scope    /machine.slice/libpod-ID.scope/container
    /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope
    /kubepods/besteffort/podUID/ID    /system.slice/containerd.service/kubepods-podUID.slice:cri-containerd:ID
    /machine.slice/machine-NAME.scope    /machine.slice/systemd-nspawn@NAME.service    /lxc.payload.NAME

A control group namespace shows other groups from its own root (`/../ID`): what is looked for are
names, wherever they stand in the path.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Place", "choose", "place_of"]


class Place(NamedTuple):
    """Where a process runs; empty where the control group does not tell."""

    container: str = ""  # id
    runtime: str = ""  # container.runtime.name
    pod: str = ""  # uid, with dashes


NOWHERE = Place()

_RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "containerd": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
    "libpod_parent": "podman",
    "buildkit": "buildkit",
    "garden": "garden",
}
"""What stands before the id, or as the directory that it is in."""

_ID = re.compile(
    r"(?:(?P<before>[A-Za-z][\w.-]*?)[-:])?(?P<id>[0-9a-f]{64}|[0-9a-f]{32}-\d{1,10})(?:\.scope)?"
)
_COLONS = re.compile(r"(?P<slice>[^:/]+\.slice|[^:/]*):(?P<runtime>[A-Za-z][\w.-]*):(?P<id>[0-9a-f]{64})")
_POD = re.compile(
    r"(?:^|-)pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$"
)
_NSPAWN = re.compile(r"systemd-nspawn@(?P<name>[^/@]+)\.service")
_MACHINE = re.compile(r"machine-(?P<name>[^/]+)\.scope")
_LXC = re.compile(r"lxc\.(?:payload|monitor)\.(?P<name>[^/]+)")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_HELPERS = ("conmon",)  # `libpod-conmon-ID.scope` holds who looks after the container


def place_of(path: str) -> Place:
    """Return what a control group's path tells of the container and the pod. Never raises."""
    pod = ""
    place = NOWHERE
    before = ""
    for part in path.split("/"):
        if colons := _COLONS.fullmatch(part):
            pod = _pod_uid(colons["slice"]) or pod
            place = Place(colons["id"], _RUNTIMES.get(colons["runtime"], ""))
        elif found := _POD.search(part):
            pod = _with_dashes(found["uid"])
        elif found := _ID.fullmatch(part):
            prefix = found["before"] or before
            if prefix.endswith(_HELPERS):
                return NOWHERE
            place = Place(found["id"], _RUNTIMES.get(prefix, place.runtime))
        elif (named := _machine(part)) is not None:
            place = named
        before = part
    return place._replace(pod=pod) if pod else place


def choose(paths: list[str]) -> str:
    """Return the path that says most of container, runtime and pod, the first of several; "" for none.

    Where both versions are mounted, a runtime may use either, and leave its own group in the other. Seen from
    inside of a pod, a path has no pod.
    """
    return max(paths, key=lambda path: sum(map(bool, place_of(path))), default="")


def _machine(part: str) -> Place | None:
    """Return the container of systemd-nspawn or LXC that a name is of."""
    if found := _NSPAWN.fullmatch(part) or _MACHINE.fullmatch(part):
        name = _ESCAPED.sub(lambda code: chr(int(code.group(1), 16)), found["name"])
        return None if name.startswith("qemu-") else Place(name, "systemd-nspawn")
    if found := _LXC.fullmatch(part):
        return Place(found["name"], "lxc")
    return None


def _pod_uid(part: str) -> str:
    found = _POD.search(part.removesuffix(".slice"))
    return _with_dashes(found["uid"]) if found else ""


def _with_dashes(uid: str) -> str:
    """Return a uid as the API server writes it; a static pod's is a digest of its manifest, without any."""
    return uid.replace("_", "-")
