"""Which lookup of a name a connection's first request has waited for.

The lookup that gave the address to the same process and ended less than `RECENT_NS` before the connection
was begun. It belongs to the first such connection alone: the next one may use what is remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from otel_ebpf.kernel.records import Exchange, Lookup
from otel_ebpf.signals.endpoints import address_text
from otel_ebpf.signals.lookup_names import FORWARD

__all__ = ["RECENT_NS", "RecentLookups"]

KEPT: Final = 4096
RECENT_NS: Final = 1_000_000_000
"""Programs connect at once; to a second address where the first does not answer, after 0.25 s (RFC 8305)."""

_Place = tuple[int, int, str]  # process, its start, address


@dataclass(slots=True)
class _Found:
    start: int  # CLOCK_BOOTTIME nanoseconds
    end: int
    taken: bool = False


class RecentLookups:
    """Remembers the last lookup that gave an address; bounded. One thread uses it."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._found: OrderedDict[_Place, _Found] = OrderedDict()

    def learn(self, lookup: Lookup) -> None:
        """Remember what a lookup has found."""
        if lookup.result or lookup.call not in FORWARD:
            return
        vantage, found = lookup.vantage, _Found(lookup.time, lookup.end)
        for family, address in lookup.addresses:
            place = (vantage.process, vantage.process_start, address_text(family, address))
            self._found.pop(place, None)
            while len(self._found) >= self._kept:
                self._found.popitem(last=False)
            self._found[place] = found

    def take(self, record: Exchange) -> int:
        """Return how long the lookup took that led to this connection, in nanoseconds; 0 for none."""
        vantage = record.vantage
        text = address_text(vantage.family, vantage.server_address)
        found = self._found.get((vantage.process, vantage.process_start, text))
        if found is None or found.taken or not 0 <= record.connect_start - found.end <= RECENT_NS:
            return 0
        found.taken = True
        return max(found.end - found.start, 0)
