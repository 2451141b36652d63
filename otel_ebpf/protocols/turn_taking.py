"""What protocols have in common in which the two sides take turns, and which are read by whole exchanges."""

from __future__ import annotations

from abc import ABC, abstractmethod

from otel_ebpf.kernel.records import Exchange
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, Stream
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.nothing import UnreadStream

__all__ = ["TurnTaking"]


class TurnTaking(ABC):
    """A `base.Protocol` but for its name, what its two sides look like, and how an exchange is read.

    Neither side is judged by the other: a connection is claimed by what both say.
    """

    name: str
    supported = True
    server_first = False
    followed = False
    interleaved = False

    @abstractmethod
    def judge_request(self, data: bytes) -> Claim:
        """Judge the first bytes of what the client says: YES, NO, or MAYBE where they are too few."""

    @abstractmethod
    def judge_response(self, data: bytes) -> Claim:
        """Judge the first bytes of what the server says; of none at all MAYBE."""

    @abstractmethod
    def parse(self, exchange: Exchange) -> Call | None:
        """See `base.Protocol`."""

    def claim(self, request: bytes, response: bytes) -> Claim:
        """Bring both judgements together."""
        asked, answered = self.judge_request(request), self.judge_response(response)
        if Claim.NO in (asked, answered):
            return Claim.NO
        if asked is Claim.YES and not response:
            return Claim.LIKELY
        return Claim.YES if asked is answered is Claim.YES else Claim.MAYBE

    def body_bound(self, exchange: Exchange) -> int:
        """Return -1: none has a likeness, which is HTTP's."""
        return -1

    def stream(self, ids: TraceIds) -> Stream:
        """Return a stream that is not read: a side that talks out of turn is counted."""
        return UnreadStream()
