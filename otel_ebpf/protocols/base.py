"""What a protocol is: one file that implements this, and one line in `registry.py`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol as Interface

from otel_ebpf.kernel.records import Exchange, Piece
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.calls import Call


class Claim(Enum):
    """What a protocol says of a connection by one exchange or by its first pieces."""

    NO = "no"
    MAYBE = "maybe"  # what was seen fits, and is not enough
    LIKELY = "likely"  # the request alone leaves no doubt, and nothing was seen of a response
    YES = "yes"  # both directions fit


class Stream(Interface):
    """One connection in stream mode: both directions' bytes, in order, with holes.

    A piece says how many bytes passed (`length`) and holds the first `captured` of them. A stream
    skips what it knows to be a body, and resynchronises after a hole that hides a head. It never
    raises: what it cannot read it counts (`unparsed`).
    """

    @property
    def unparsed(self) -> int:
        """Messages given up so far: unreadable, or without a partner. Never decreases."""

    @property
    def open(self) -> int:
        """Calls in progress: what is lost when this state is evicted."""

    @property
    def held(self) -> int:
        """Bytes of memory kept for later, about; bounded."""

    @property
    def undecided(self) -> bool:
        """True while something waits for silence to decide it: call `expire` from time to time."""

    @property
    def finished(self) -> bool:
        """True once the connection speaks another protocol (an upgrade); nothing more will come."""

    def feed(self, piece: Piece) -> Sequence[Call]:
        """Take one piece; return the calls that it completed, in order of their requests."""

    def expire(self, now: int) -> Sequence[Call]:
        """Decide by silence, `now` in CLOCK_BOOTTIME nanoseconds; return the calls that ended so."""

    def close(self, how: int, error: int) -> Sequence[Call]:
        """The connection has ended; return the calls that were open (status 0 if unanswered)."""


class Protocol(Interface):
    """A wire protocol, sans-IO: bytes in, frozen values out; no sockets, no clocks, no exceptions."""

    @property
    def name(self) -> str:
        """Name as in `network.protocol.name` and the ledger."""

    @property
    def supported(self) -> bool:
        """False: recognised, counted as unsupported by service, not read (yet)."""

    @property
    def server_first(self) -> bool:
        """True where the accepting side greets; others are never asked about such an exchange."""

    @property
    def followed(self) -> bool:
        """True for the one whose heads the kernel follows.

        A record in which it saw both end is its, and so are all later ones of that connection
        (`Capture.HTTP1`).
        """

    @property
    def interleaved(self) -> bool:
        """True where the two sides do not take turns: its connections are put in stream mode."""

    def claim(self, request: bytes, response: bytes) -> Claim:
        """Judge a connection by the captured first bytes of each direction (b"" for not seen)."""

    def parse(self, exchange: Exchange) -> Call | None:
        """Read a whole exchange; None when the captured bytes cannot be read."""

    def body_bound(self, exchange: Exchange) -> int:
        """Return the most bytes that the request's body may have by its head, of an exchange with a likeness.

        Never less than 0 means: all else that `parse` says of it, but for ids, times and sizes, it will say
        of any exchange that is like it, and the response's body is what came behind its head.
        """

    def stream(self, ids: TraceIds) -> Stream:
        """Return the state for a connection in stream mode; `ids` names requests without a context."""


class ConnectionControl(Interface):
    """How user space tells the kernel what to do with a connection. Neither call blocks or raises.

    `socket` is the record's handle; `connection` guards against its address having been reused.
    """

    def ignore(self, socket: int, connection: int) -> None:
        """Stop reporting: nothing known is spoken there."""

    def stream(self, socket: int, connection: int) -> None:
        """Report pieces instead of exchanges."""
