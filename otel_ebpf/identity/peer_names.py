"""Who answers at an address of the cluster: the names that client spans give to their peers.

Several threads tell what they read of the API server; the reader alone asks, and never waits for them: what
is not known yet is without a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

from otel_ebpf.kernel.ledger import Entry, Shard

__all__ = ["Address", "Peer", "PeerNames"]

ADDRESSES_MAX = 65536
ASKED_MAX = 8192


class Address(NamedTuple):
    """Where somebody answers: the address as text, and the port, 0 for any."""

    address: str
    port: int


class Peer(NamedTuple):
    """What somebody is called: `service.peer.name` and `service.peer.namespace`."""

    name: str
    namespace: str


class PeerNames:
    """Peers by address, of at most `capacity` addresses; `shard`, which is its own, counts the others."""

    def __init__(self, shard: Shard, capacity: int = ADDRESSES_MAX) -> None:
        self._counts = shard.counts
        self._room = capacity
        self._lock = Lock()  # of those that write
        self._objects: dict[str, tuple[Peer, tuple[Address, ...]]] = {}
        self._peers: dict[Address, tuple[Peer, ...]] = {}  # one for each object that has the address
        self._asked: set[str] = set()
        self._changed = False

    def put(self, key: str, peer: Peer, addresses: Iterable[Address]) -> bool:
        """Say where an object's peer answers, in place of what was said before; whether anything is kept."""
        wanted = tuple(dict.fromkeys(addresses))
        with self._lock:
            if self._objects.get(key) == (peer, wanted):
                return True
            self._remove(key)
            kept = wanted[: self._room]
            self._counts[Entry.PEER_ADDRESSES_FULL] += len(wanted) - len(kept)
            if not kept:
                return False
            alone = (peer,)
            self._objects[key] = peer, kept
            self._room -= len(kept)
            for address in kept:
                others = self._peers.get(address)
                self._peers[address] = alone if others is None else tuple(sorted((*others, peer), key=_order))
            self._notice(kept)
            return True

    def remove(self, key: str) -> None:
        """The object is no longer there."""
        with self._lock:
            self._remove(key)

    def at(self, address: str, port: int) -> Peer | None:
        """Return who answers there. Where several services have it, the one of the shortest name.

        A pod's address with whatever port is nobody's where two pods have it: one has just gone.
        """
        if len(self._asked) >= ASKED_MAX:
            self._asked = set()
            self._changed = True  # of those it would no longer be noticed
        self._asked.add(address)  # first: what changes from here on is noticed
        if found := self._peers.get(Address(address, port)):
            return found[0]
        found = self._peers.get(Address(address, 0))
        return found[0] if found and found[0] == found[-1] else None

    def changed(self) -> bool:
        """Say whether somebody may have another name who was asked for, once for each time."""
        changed, self._changed = self._changed, False
        return changed

    def _remove(self, key: str) -> None:
        peer, addresses = self._objects.pop(key, (None, ()))
        self._room += len(addresses)
        for address in addresses:
            left = list(self._peers.pop(address))
            left.remove(peer)  # type: ignore[arg-type]  # without a peer there are no addresses
            if left:
                self._peers[address] = tuple(left)
        self._notice(addresses)

    def _notice(self, addresses: Iterable[Address]) -> None:
        if any(one.address in self._asked for one in addresses):
            self._changed = True


def _order(peer: Peer) -> tuple[int, Peer]:
    return len(peer.name), peer
