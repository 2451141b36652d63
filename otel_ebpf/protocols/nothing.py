"""Streams of connections that are not read: the protocol is not, or not in stream mode."""

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


class UnreadStream(NoStream):
    """Counts each piece as unparsed: of a protocol that is read by whole exchanges alone."""

    def __init__(self) -> None:
        self.unparsed = 0

    def feed(self, piece: Piece) -> Sequence[Call]:
        """Count it."""
        self.unparsed += 1
        return ()
