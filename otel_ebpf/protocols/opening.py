"""The first pieces of a connection in stream mode, held until a protocol claims it."""

from __future__ import annotations

from collections.abc import Sequence

from otel_ebpf.kernel.records import Direction, Piece
from otel_ebpf.protocols.base import Claim, Protocol
from otel_ebpf.protocols.claims import judge

_PIECES_MAX = 16
_MISSES_MAX = 4  # pieces that fit no protocol; the first may be from the middle of a message
_HEAD_MAX = 1024
_PIECE_COST = 1024
_REQUEST = int(Direction.REQUEST)


class Opening:
    """Gathers evidence from both directions. `pieces` are to be replayed to the protocol's stream.

    A direction whose beginning fits no protocol (the connection is older than its first piece)
    is judged by its next piece instead.
    """

    __slots__ = ("_heads", "_misses", "_protocols", "likely", "pieces")

    def __init__(self, protocols: Sequence[Protocol]) -> None:
        self.pieces: list[Piece] = []
        self.likely: Protocol | None = None  # by the requests alone
        self._protocols = protocols
        self._heads = [b"", b""]
        self._misses = 0

    @property
    def held(self) -> int:
        """Bytes of memory kept, about."""
        return len(self.pieces) * _PIECE_COST

    def take(self, piece: Piece) -> Protocol | None:
        """Hold one more piece; return the protocol once it is known."""
        self.pieces.append(piece)
        side = 0 if piece.direction == _REQUEST else 1
        head = (self._heads[side] + piece.data)[:_HEAD_MAX]
        if self._fits(side, head) is Claim.NO:
            head = piece.data[:_HEAD_MAX]
            if self._fits(side, head) is Claim.NO:
                head = b""
                self._misses += 1
        self._heads[side] = head
        claim, protocol = judge(self._protocols, self._heads[0], self._heads[1])
        if claim is Claim.NO:
            self._misses += 1
        self.likely = protocol if claim is Claim.LIKELY else None
        if claim is Claim.LIKELY and len(self.pieces) >= _PIECES_MAX:
            return protocol  # a client that sends much before it listens
        return protocol if claim is Claim.YES else None

    @property
    def hopeless(self) -> bool:
        """True when the connection should be given up."""
        return self._misses >= _MISSES_MAX or len(self.pieces) >= _PIECES_MAX

    def _fits(self, side: int, head: bytes) -> Claim:
        claim, _ = judge(self._protocols, *((head, b"") if side == 0 else (b"", head)))
        return claim
