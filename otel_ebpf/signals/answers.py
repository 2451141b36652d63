"""Which name a process has asked for to come to an address: its `server.address` where nothing else tells.

Per process, as what one has asked says nothing of another, and by address. Where two names lead to one
address, it may be either: then there is no name. An answer holds for as long as its name server says, but not
less than `LEAST_SECONDS`, as programs keep what they were told; the C library does not say for how long. A
connection keeps the name that it had at its first request.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from otel_ebpf.kernel.records import Exchange, Lookup, Piece, Transport
from otel_ebpf.protocols.claims import connection_key
from otel_ebpf.signals.endpoints import address_text
from otel_ebpf.signals.lookup_names import FORWARD, name_text

__all__ = ["Answers"]

KEPT: Final = 16384
LEAST_SECONDS: Final = 60
UNTOLD_SECONDS: Final = 600
"""How long answers hold of which nobody says that."""
_NAMES_MAX: Final = 4

_TCP = int(Transport.TCP)
_Place = tuple[int, int, str]  # process, its start, address


class Answers:
    """Remembers answers, and the names of connections; bounded. One thread uses it."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._names: OrderedDict[_Place, dict[str, int]] = OrderedDict()  # name: until when, boot time
        self._connections: OrderedDict[int, str] = OrderedDict()

    def learn(self, lookup: Lookup) -> None:
        """Remember what a lookup has found."""
        if lookup.result or lookup.call not in FORWARD:
            return
        name, vantage = name_text(lookup.name), lookup.vantage
        seconds = max(lookup.seconds, LEAST_SECONDS) if lookup.seconds else UNTOLD_SECONDS
        for family, address in lookup.addresses:
            place = (vantage.process, vantage.process_start, address_text(family, address))
            known = self._names.pop(place, {})
            while len(self._names) >= self._kept:
                self._names.popitem(last=False)
            known = {one: until for one, until in known.items() if until > lookup.time}
            if len(known) < _NAMES_MAX:  # with more it is anybody's
                known[name] = max(lookup.end + seconds * 10**9, known.get(name, 0))
            self._names[place] = known

    def of(self, record: Exchange | Piece) -> str:
        """Return the name of a client's server, "" where it is not known."""
        if record.vantage.transport != _TCP:
            return ""
        key = connection_key(record)
        name = self._connections.get(key)
        if name is None:
            name = self._find(record)
            while len(self._connections) >= self._kept:
                self._connections.popitem(last=False)
            self._connections[key] = name
        return name

    def _find(self, record: Exchange | Piece) -> str:
        vantage = record.vantage
        text = address_text(vantage.family, vantage.server_address)
        known = self._names.get((vantage.process, vantage.process_start, text), {})
        names = [name for name, until in known.items() if until > record.time]
        return names[0] if len(names) == 1 else ""
