"""Exchanges that are alike, and what the later stages have made of one of them.

Hot path. Budget: 0.8 us for an exchange that is like an earlier one.

Alike are exchanges of one vantage with the same flags, end and lengths of heads, the same status, and the
same request head but for its `traceparent`. All that is left is ids, times, sizes of bodies and the
client's address. So the stages go their whole way once, and what they found is kept under the likeness;
of another such exchange only what is its own is read (docs/adr/0003-remember-what-repeats.md).

A likeness is a hash of those bytes, as heads hold secrets: 64 bits of SipHash under a key of this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from otel_ebpf.kernel.wire import WIRE_VERSION, ContextSource, End, Kind

__all__ = ["OWN", "Again", "Likenesses", "Other", "context_field"]

# struct exchange_record, but for what a likeness holds.
OWN: Final = Struct("<HHI12xBB66xQ16x16s16s8s8sBB6x8xQQQQIIIIQQI4xH2xH2x")
HEADER_START, HEADER_STOP = 8, 72  # from `tls` on, the vantage included
LENGTHS = 240  # from `request_head` on, up to the captured bytes

CAPACITY: Final = 4096

_TRACEPARENT: Final = b"\r\ntraceparent: "  # as nearly everybody writes it
_TRACEPARENT_SIZE: Final = len(_TRACEPARENT) + 55
_FOLD: Final = (b" ", b"\t")
_SIZE: Final = OWN.size
_EXCHANGE: Final = int(Kind.EXCHANGE)
_PROCESS: Final = int(Kind.PROCESS)
_NOTHING: Final[dict[int, Any]] = {}
_LENGTH: Final = int(End.LENGTH)
_NONE: Final = int(ContextSource.NONE)
_HEADER: Final = int(ContextSource.HEADER)
_unpack = OWN.unpack_from

Again = tuple[
    Any, int, int, int, int, int, int, int, int, int, int, bytes, int, bytes, bytes, bytes, int, int
]
"""What is an exchange's own, if one like it is known.

What was kept of that one (a later stage's); time; start and end of the response; bytes of request and
response; the network's part (`waited`, `rtt`, `rtt_min`, `retransmits`, and for how many nanoseconds its
connection waited to be accepted); the client's address and port; trace id, span id, parent id, trace flags
and source of the context. It is no class: making one would cost as much as reading all of this.
"""

Other = tuple[int, int, int]
"""Any other record: where it starts and ends, and its likeness."""


class Likenesses:
    """What is known, by likeness: bounded, and emptied when full, as what is in use comes back at once."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.known: dict[int, Any] = {}
        self._capacity = capacity

    def keep(self, likeness: int, known: object) -> None:
        """Keep what was made of an exchange; `likeness` is its own, 0 for none."""
        if not likeness:
            return
        if len(self.known) >= self._capacity:
            self.known.clear()
        self.known[likeness] = known

    def clear(self) -> None:
        """Something has changed that what is kept may depend on."""
        self.known.clear()

    def sort(self, chunk: bytes, spans: Sequence[tuple[int, int]]) -> tuple[list[Again], list[Other]]:
        """Tell the exchanges whose like is known from all other records.

        `spans` is where records stand in `chunk`. Of a record that is not known its likeness is returned
        beside its place, 0 where it can be like no other, and where its connection has lost records, which
        is to be counted. Behind the notice of a process nothing is known any more: it may be another program.
        """
        alike: list[Again] = []
        others: list[Other] = []
        get = self.known.get
        for at, end in spans:
            if end - at < _SIZE:
                others.append((at, end, 0))
                continue
            (
                version, port, lost, kind, how, start, address, trace_id, span_id, parent_id, flags, source,
                answered, response_end, request_bytes, response_bytes,
                waited, rtt, rtt_min, retransmits, arrived, accepted, head, captured, path,
            ) = _unpack(chunk, at)  # fmt: skip
            stop = at + _SIZE + head
            cut = on = stop
            if source == _HEADER:
                cut, on = context_field(chunk, at + _SIZE, stop)
            if (
                kind != _EXCHANGE or version != WIRE_VERSION or how != _LENGTH or source == _NONE
                or lost or path or not 0 < head <= captured or stop > end or not cut
            ):  # fmt: skip
                if kind == _PROCESS:
                    get = _NOTHING.get
                others.append((at, end, 0))
                continue
            own = chunk[at + HEADER_START : at + HEADER_STOP] + chunk[at + LENGTHS : cut]
            likeness = hash(own + chunk[on:stop] if on < stop else own)
            known = get(likeness)
            if known is None:
                others.append((at, end, likeness))
            else:
                alike.append(
                    (
                        known, start, answered, response_end, request_bytes, response_bytes,
                        waited, rtt, rtt_min, retransmits, accepted - arrived if accepted else 0,
                        address, port, trace_id, span_id, parent_id, flags, source,
                    )
                )  # fmt: skip
        return alike, others


def context_field(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Return where in a head the `traceparent` stands that the kernel has read; (0, 0) if oddly written."""
    at = data.find(_TRACEPARENT, start, stop)
    behind = at + _TRACEPARENT_SIZE
    if at < 0 or data.find(b"\n", at + 2, behind) >= 0:  # none, or a shorter one, and part of what follows
        return 0, 0
    if data[behind : behind + 2] != b"\r\n" or data[behind + 2 : behind + 3] in _FOLD:
        return 0, 0
    return at, behind
