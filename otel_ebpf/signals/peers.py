"""The attributes of a span's peer: of a server's by address (hot path: one look-up), a client's by name."""

from __future__ import annotations

from otel_ebpf.identity.model import Attributes
from otel_ebpf.identity.peer_names import Peer
from otel_ebpf.signals.endpoints import address_text
from otel_ebpf.signals.names import (
    CLIENT_ADDRESS,
    NETWORK_PEER_ADDRESS,
    SERVICE_PEER_NAME,
    SERVICE_PEER_NAMESPACE,
)
from otel_ebpf.signals.span import NO_ATTRIBUTES, AttributeBlock

CACHED = 8192


def named_peer(peer: Peer | None) -> Attributes:
    """Return the attributes of who answers a client, as far as that is known."""
    if peer is None:
        return ()
    return ((SERVICE_PEER_NAME, peer.name), (SERVICE_PEER_NAMESPACE, peer.namespace))


class Peers:
    """Blocks of attributes by address, of one family; bounded, and emptied when full.

    `client`: the peer is the client too, not a proxy before it. `blocks` is for the hot path to look
    into before it calls `make`.
    """

    __slots__ = ("_client", "_family", "blocks")

    def __init__(self, family: int, *, client: bool) -> None:
        self.blocks: dict[bytes, AttributeBlock] = {}
        self._family = family
        self._client = client

    def make(self, address: bytes) -> AttributeBlock:
        """Return the attributes of an address of 16 bytes; none of an unknown family."""
        text = address_text(self._family, address)
        if not text:
            return NO_ATTRIBUTES
        pairs: Attributes = ((NETWORK_PEER_ADDRESS, text),)
        if self._client:
            pairs = ((CLIENT_ADDRESS, text), *pairs)
        if len(self.blocks) >= CACHED:
            self.blocks.clear()
        block = self.blocks[address] = AttributeBlock(pairs)
        return block
