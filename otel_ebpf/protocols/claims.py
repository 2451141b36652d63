"""Which protocol speaks on which connection."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from otel_ebpf.kernel.records import Capture, Close, Exchange, Piece
from otel_ebpf.protocols.base import Claim, Protocol

_SERVER_FIRST = int(Capture.SERVER_FIRST)
_HTTP1 = int(Capture.HTTP1)
_STRENGTH = {Claim.NO: 0, Claim.MAYBE: 1, Claim.LIKELY: 2, Claim.YES: 3}
MISSES_MAX = 3  # exchanges in a row that no protocol claims, before a connection is given up


def connection_key(record: Exchange | Piece | Close) -> int:
    """Return the key of one end of a connection: both ends may be on this host."""
    return record.connection << 2 | record.vantage.role


def judge(protocols: Sequence[Protocol], request: bytes, response: bytes) -> tuple[Claim, Protocol | None]:
    """Return the strongest claim, and the first protocol that makes it."""
    best: tuple[Claim, Protocol | None] = (Claim.NO, None)
    for protocol in protocols:
        claim = protocol.claim(request, response)
        if claim is Claim.YES:
            return claim, protocol
        if _STRENGTH[claim] > _STRENGTH[best[0]]:
            best = claim, protocol
    return best


class Claims:
    """Claims by connection key, bounded: the oldest goes when it is full, and is made again in time.

    Ordered dictionaries: the first key of a plain one is looked for behind all that were deleted before.
    """

    __slots__ = ("_maximum", "_misses", "_protocols", "_server_first", "claimed", "followed")

    def __init__(self, protocols: Sequence[Protocol], maximum: int) -> None:
        self._protocols = tuple(protocols)
        self._server_first = tuple(protocol for protocol in protocols if protocol.server_first)
        self.followed = next((protocol for protocol in protocols if protocol.followed), None)
        self._maximum = maximum
        self._misses: OrderedDict[int, int] = OrderedDict()
        self.claimed: OrderedDict[int, Protocol] = OrderedDict()

    def of(self, record: Exchange | Piece) -> Protocol | None:
        """Return whose connection it is: the kernel has followed it, or it was claimed."""
        if record.flags & _HTTP1 and self.followed is not None:
            return self.followed
        return self.claimed.get(connection_key(record))

    def look(self, record: Exchange) -> tuple[Claim, Protocol | None]:
        """Judge an exchange. LIKELY suffices where there was no response at all."""
        protocols = self._server_first if record.flags & _SERVER_FIRST else self._protocols
        claim, protocol = judge(protocols, record.request, record.response)
        if claim is Claim.LIKELY and record.response_bytes:
            return Claim.MAYBE, protocol
        return claim, protocol

    def hold(self, key: int, protocol: Protocol) -> None:
        """Note that `protocol` speaks on the connection."""
        if len(self.claimed) >= self._maximum:
            self.claimed.popitem(last=False)
        self.claimed[key] = protocol
        self._misses.pop(key, None)

    def miss(self, key: int) -> bool:
        """Count an exchange that no protocol claims; True when the connection should be given up."""
        misses = self._misses.pop(key, 0) + 1
        if len(self._misses) >= self._maximum:
            self._misses.popitem(last=False)
        self._misses[key] = misses
        return misses % MISSES_MAX == 0  # again later, should the kernel not have heard

    def release(self, key: int) -> None:
        """Forget a connection that has ended."""
        self.claimed.pop(key, None)
        self._misses.pop(key, None)
