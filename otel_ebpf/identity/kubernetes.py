"""The pods of one node, listed once and then followed."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from otel_ebpf.identity.api_server import ApiServer, ExpiredError, RefusedError
from otel_ebpf.identity.model import Container, Pod
from otel_ebpf.identity.names import clean_name
from otel_ebpf.identity.peer_names import Address, Peer, PeerNames
from otel_ebpf.identity.place_names import name_of_pod, namespace_of_pod
from otel_ebpf.identity.pods import KnownPod, Owner, controller_of, deployment_of, known_pod
from otel_ebpf.identity.watching import Cache, Follower

__all__ = ["PodsOfNode"]

logger = logging.getLogger(__name__)

PODS_MAX = 2048
GONE_KEPT = 512
OWNERS_KEPT = 1024

_PODS = "/api/v1/pods"
_HAS_OWNERS = {
    "replicaset": "/apis/apps/v1/namespaces/{}/replicasets/{}",
    "job": "/apis/batch/v1/namespaces/{}/jobs/{}",
}


class PodsOfNode:
    """The pods of one node, told to `names` by their addresses too. Everything is for any thread."""

    def __init__(
        self, server: ApiServer, node: str, cluster: str = "", names: PeerNames | None = None
    ) -> None:
        self._server = server
        self._cluster = cluster
        self._names = names
        self._query = {"fieldSelector": f"spec.nodeName={node}"}
        self._pods: Cache[KnownPod] = Cache(PODS_MAX, GONE_KEPT)
        self._owners: OrderedDict[str, Owner | None] = OrderedDict()  # by uid: who owns the owner
        self._keys: dict[str, str] = {}  # what a pod is kept by, by its uid
        self._follower = Follower("the API server", self._follow)

    def start(self) -> None:
        """Begin to follow."""
        self._follower.start()

    def stop(self) -> None:
        """No longer."""
        self._follower.stop()

    @property
    def hopeful(self) -> bool:
        """Whether facts that are not there yet may come soon."""
        return self._follower.hopeful

    def facts(self, uid: str, container: str) -> tuple[Pod, Container | None] | None:
        """Return what is known of a pod, and of one container in it."""
        known = self._pods.get(uid)
        return (known.pod, known.container(container)) if known else None

    def _follow(self, listed: Callable[[], None]) -> None:
        items, version = self._server.items(_PODS, self._query)
        keys = {key for item in items if (key := self._put(item))}
        self._pods.keep_only(keys)
        for uid in [uid for uid, key in self._keys.items() if key not in keys]:
            self._forget(uid)
        listed()
        while True:
            try:
                for kind, item in self._server.changes(_PODS, self._query, version):
                    version = self._take(kind, item) or version
            except ExpiredError:
                logger.debug("a watch of pods has expired: listed anew")
                return

    def _take(self, kind: str, item: object) -> str:
        """Take one change, and return the version that a watch would go on from."""
        if not isinstance(item, dict):
            return ""
        metadata = item.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        if kind in {"ADDED", "MODIFIED"}:
            self._put(item)
        elif kind == "DELETED":
            self._put(item)  # what ran until now is in its last status
            uid = str(metadata.get("uid"))
            self._pods.remove(self._keys.get(uid, ""))
            self._forget(uid)
        return str(metadata.get("resourceVersion", ""))

    def _put(self, item: object) -> str:
        """Keep a pod, and return by what."""
        if not isinstance(item, dict) or not isinstance(metadata := item.get("metadata"), dict):
            return ""
        known = known_pod(item, self._owners_of(metadata), self._cluster)
        if known is None or not self._pods.put(known.key, known):
            return ""
        self._keys[known.pod.uid] = known.key
        if self._names is not None:
            peer = Peer(clean_name(name_of_pod(known.pod)), clean_name(namespace_of_pod(known.pod)))
            self._names.put(known.pod.uid, peer, [Address(one, 0) for one in known.addresses])
        return known.key

    def _forget(self, uid: str) -> None:
        self._keys.pop(uid, None)
        if self._names is not None:
            self._names.remove(uid)

    def _owners_of(self, metadata: Mapping[str, Any]) -> tuple[Owner, ...]:
        """Return who manages a pod, and who that."""
        owner = controller_of(metadata)
        if owner is None:
            return ()
        outer = self._owner_of(str(metadata.get("namespace", "")), owner)
        outer = outer or deployment_of(owner, metadata.get("labels"))
        return (owner, outer) if outer else (owner,)

    def _owner_of(self, namespace: str, owner: Owner) -> Owner | None:
        """Ask once who manages a replica set or a job. Without the right to ask, nobody is known."""
        kind, name, uid = owner
        if kind not in _HAS_OWNERS or not uid:
            return None
        if uid not in self._owners:
            path = _HAS_OWNERS[kind].format(quote(namespace, safe=""), quote(name, safe=""))
            try:
                self._owners[uid] = controller_of(self._server.metadata(path))
            except RefusedError as error:
                logger.debug("the owner of a %s is not known: %s", kind, error)
                self._owners[uid] = None
            if len(self._owners) > OWNERS_KEPT:
                self._owners.popitem(last=False)
        return self._owners[uid]
