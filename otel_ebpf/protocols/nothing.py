"""The stream of a protocol that is recognised and not read."""

from __future__ import annotations

from collections.abc import Sequence

from otel_ebpf.kernel.records import Piece
from otel_ebpf.protocols.calls import Call


class NoStream:
    """Finds nothing, holds nothing; see `base.Stream`."""

    unparsed = 0
    open = 0
    held = 0
    undecided = False
    finished = False

    def feed(self, piece: Piece) -> Sequence[Call]:
        """Take a piece for nothing."""
        return ()

    def expire(self, now: int) -> Sequence[Call]:
        """Decide nothing."""
        return ()

    def close(self, how: int, error: int) -> Sequence[Call]:
        """Return nothing."""
        return ()
