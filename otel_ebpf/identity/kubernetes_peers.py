"""The services of a cluster and where their pods are, followed for the names of client spans' peers.

There is no list: a watch from version 0 begins with all there is, one object at a time, out of the API
server's own cache. What is gone since an earlier watch is known at the first bookmark, or when the server
ends the watch: both come behind all of them. Bookmarks are promised to nobody, so it may be the latter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from otel_ebpf.identity.api_server import ApiServer, ExpiredError
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.identity.peer_objects import Found, endpoints_of, service_of
from otel_ebpf.identity.watching import Follower

__all__ = ["PeersOfCluster", "endpoints", "services"]

logger = logging.getLogger(__name__)

_ANY_VERSION = "0"


class PeersOfCluster:
    """Follows the objects below one path, and tells `names` what `read` finds in each."""

    def __init__(
        self,
        server: ApiServer,
        names: PeerNames,
        path: str,
        read: Callable[[Mapping[str, Any]], Found | None],
    ) -> None:
        self._server = server
        self._names = names
        self._path = path
        self._read = read
        self._version = _ANY_VERSION
        self._known: set[str] = set()  # uids
        self._unseen: set[str] = set()  # what was known before this watch began anew, and is not in it yet
        self._follower = Follower(f"the API server's watch of {path}", self._follow)

    def start(self) -> None:
        """Begin to follow."""
        self._follower.start()

    def stop(self) -> None:
        """No longer."""
        self._follower.stop()

    @property
    def hopeful(self) -> bool:
        """Whether it is listed, or may soon be."""
        return self._follower.hopeful

    def _follow(self, listed: Callable[[], None]) -> None:
        while True:
            if self._version == _ANY_VERSION:
                self._unseen = set(self._known)
            try:
                for kind, item in self._server.changes(self._path, {}, self._version):
                    listed()
                    self._version = self._take(kind, item) or self._version
                self._forget_unseen()
            except ExpiredError:
                logger.debug("a watch of %s has expired: all of them anew", self._path)
                self._version = _ANY_VERSION
                return

    def _take(self, kind: str, item: object) -> str:
        """Take one change, and return the version that a watch would go on from, "" for none.

        What was there before a watch from any version comes in no order: before all of it is here, another
        watch would have to begin so too.
        """
        if not isinstance(item, dict) or not isinstance(metadata := item.get("metadata"), dict):
            return ""
        version = str(metadata.get("resourceVersion", ""))
        if kind == "BOOKMARK":
            self._forget_unseen()
            return version
        uid = str(metadata.get("uid", ""))
        self._unseen.discard(uid)
        if kind == "DELETED":
            self._forget(uid)
        elif kind in {"ADDED", "MODIFIED"} and uid:
            found = self._read(item)
            if found is not None and self._names.put(uid, *found):
                self._known.add(uid)
            else:
                self._forget(uid)
        return version if self._version != _ANY_VERSION else ""

    def _forget_unseen(self) -> None:
        for uid in self._unseen:
            self._forget(uid)
        self._unseen = set()

    def _forget(self, uid: str) -> None:
        self._known.discard(uid)
        self._names.remove(uid)


def services(server: ApiServer, names: PeerNames) -> PeersOfCluster:
    """Return who follows the cluster's Services."""
    return PeersOfCluster(server, names, "/api/v1/services", service_of)


def endpoints(server: ApiServer, names: PeerNames) -> PeersOfCluster:
    """Return who follows the cluster's EndpointSlices."""
    return PeersOfCluster(server, names, "/apis/discovery.k8s.io/v1/endpointslices", endpoints_of)
