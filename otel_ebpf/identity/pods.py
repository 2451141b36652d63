"""Pods as the API server writes them: what is kept of one, and what its containers are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from otel_ebpf.identity.docker import image_and_tags
from otel_ebpf.identity.model import Container, Pod
from otel_ebpf.identity.peer_objects import address_of
from otel_ebpf.identity.place_names import ANNOTATION

__all__ = ["KnownPod", "Owner", "controller_of", "deployment_of", "known_pod"]

LABELS_MAX = 64
CONTAINERS_MAX = 64
ADDRESSES_MAX = 8
VALUE_CHARACTERS = 1024

_ENDED = ("Succeeded", "Failed")
_RUNTIMES = {"containerd": "containerd", "cri-o": "cri-o", "docker": "docker"}
_ID = re.compile(r"(?P<runtime>[a-z][a-z0-9+-]*)://(?P<id>[0-9a-f]{64})")
_HASH = "pod-template-hash"  # the deployment controller's label, and the end of its replica sets' names
_SPECS = ("containers", "initContainers", "ephemeralContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")

Owner = tuple[str, str, str]  # kind in lower case, name, uid


class KnownPod(NamedTuple):
    """A pod, and its containers by id. `only` is the one container of a pod that has no other.

    `key` is what its control group has: the uid, of a static pod that of its manifest. `addresses` are those
    that are its own while it runs.
    """

    key: str
    pod: Pod
    containers: Mapping[str, Container]
    only: Container | None
    addresses: tuple[str, ...]

    def container(self, identifier: str) -> Container | None:
        """Return a container: the status has its id up to a second after its first request."""
        return self.containers.get(identifier) or self.only


def known_pod(pod: Mapping[str, Any], owners: tuple[Owner, ...], cluster: str = "") -> KnownPod | None:
    """Return what is kept of a pod (core/v1 Pod), None where it has no uid."""
    metadata, spec, status = (_mapping(pod.get(part)) for part in ("metadata", "spec", "status"))
    uid = _text(metadata.get("uid"))
    manifest = _text(_mapping(metadata.get("annotations")).get("kubernetes.io/config.mirror"))
    if not uid:
        return None
    found = Pod(
        uid=uid,
        name=_text(metadata.get("name")),
        namespace=_text(metadata.get("namespace")),
        node=_text(spec.get("nodeName")),
        owners=owners,
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations"), ANNOTATION),
        cluster=cluster,
    )
    wanted = {_text(one.get("name")): _text(one.get("image")) for one in _all(spec, _SPECS)}
    only = _container("", *next(iter(wanted.items()))) if len(wanted) == 1 else None
    return KnownPod(manifest or uid, found, dict(_running(status, wanted)), only, _addresses(spec, status))


def _addresses(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a pod's own addresses: none on the host's network, and none once it has ended."""
    listed = status.get("podIPs")
    if spec.get("hostNetwork") is True or status.get("phase") in _ENDED or not isinstance(listed, list):
        return ()
    found = (address_of(_mapping(one).get("ip")) for one in listed[:ADDRESSES_MAX])
    return tuple(filter(None, found))


def controller_of(metadata: Mapping[str, Any]) -> Owner | None:
    """Return who manages an object (metav1.OwnerReference), None for nobody."""
    references = metadata.get("ownerReferences")
    for one in references if isinstance(references, list) else ():
        if isinstance(one, dict) and one.get("controller") is True:
            owner = (_text(one.get("kind")).lower(), _text(one.get("name")), _text(one.get("uid")))
            return owner if owner[0] and owner[1] else None
    return None


def deployment_of(owner: Owner, labels: object) -> Owner | None:
    """Return the deployment that a pod's replica set is of, by the hash that its controller puts on both.

    The uid is not to be had so.
    """
    digest = _texts(labels).get(_HASH, "")
    kind, name, _ = owner
    if kind != "replicaset" or not digest or not name.endswith(f"-{digest}"):
        return None
    return "deployment", name.removesuffix(f"-{digest}"), ""


def _running(status: Mapping[str, Any], images: Mapping[str, str]) -> Iterator[tuple[str, Container]]:
    for one in _all(status, _STATUSES):
        name = _text(one.get("name"))
        image = images.get(name) or _text(one.get("image"))
        ids = [_text(one.get("containerID"))]
        for state in ("state", "lastState"):  # one that has ended, and what ran before a restart
            ids += [_text(_mapping(at).get("containerID")) for at in _mapping(one.get(state)).values()]
        for identifier in ids:
            if found := _ID.fullmatch(identifier):
                yield found["id"], _container(found["runtime"], name, image)


def _container(runtime: str, name: str, image: str) -> Container:
    image, tags = image_and_tags(image)
    return Container("", _RUNTIMES.get(runtime, ""), name, image, tags)


def _all(part: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    for key in keys:
        listed = part.get(key)
        for one in listed[:CONTAINERS_MAX] if isinstance(listed, list) else ():
            yield _mapping(one)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object, prefix: str = "") -> Mapping[str, str]:
    kept = [(key, one) for key, one in _mapping(value).items() if key.startswith(prefix)]
    return {_text(key): _text(one) for key, one in kept[:LABELS_MAX]}


def _text(value: object) -> str:
    return value[:VALUE_CHARACTERS] if isinstance(value, str) else ""
