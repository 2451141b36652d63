"""What a protocol is: one file that implements this, and one line in `registry.py`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol as Interface

from otel_ebpf.kernel.records import Exchange, Piece
from otel_ebpf.protocols.calls import Call


class Claim(Enum):
    """What a protocol says of a connection by one exchange or by its first pieces."""

    NO = "no"
    MAYBE = "maybe"  # one direction fits; the other has not been seen
    YES = "yes"  # both directions fit


class Stream(Interface):
    """One connection in stream mode: both directions' bytes, in order, with holes.

    A piece says how many bytes passed (`length`) and holds the first `captured` of them. A stream
    skips what it knows to be a body, and resynchronises after a hole that hides a head. It never
    raises: what it cannot read it counts (`unparsed`).
    """

    unparsed: int
    """Messages given up so far: unreadable, or without a partner."""

    def feed(self, piece: Piece) -> Iterable[Call]:
        """Take one piece; return the calls that it completed, in order of their requests."""

    def close(self, how: int, error: int) -> Iterable[Call]:
        """The connection has ended; return the calls that were open (status 0 if unanswered)."""


class Protocol(Interface):
    """A wire protocol, sans-IO: bytes in, frozen values out; no sockets, no clocks, no exceptions."""

    name: str
    supported: bool
    """False: recognised, counted as unsupported by service, not read (yet)."""

    def claim(self, request: bytes, response: bytes) -> Claim:
        """Judge a connection by the captured first bytes of each direction (b"" for not seen)."""

    def parse(self, exchange: Exchange) -> Call | None:
        """Read a whole exchange; None when the captured bytes cannot be read."""

    def stream(self) -> Stream:
        """Return the state for a connection in stream mode."""
