"""From where traffic was observed: which process, as which end of which service.

All connections between one process and one server have the same vantage, so it is read once and kept:
a record costs a look-up of 49 bytes instead of ten fields, and later stages cache by the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

__all__ = ["START", "STOP", "VANTAGE", "Vantage", "Vantages"]

VANTAGE = Struct("<BBBHIQQII16s")
START, STOP = 23, 23 + VANTAGE.size
"""Where it stands in struct record_header."""


@dataclass(frozen=True, slots=True, eq=False)
class Vantage:
    """The part of struct record_header that many records share. Compared and hashed by identity."""

    transport: int
    family: int
    role: int
    server_port: int
    network_namespace: int
    process_start: int  # CLOCK_BOOTTIME nanoseconds
    cgroup: int
    process: int
    agent_process: int
    server_address: bytes


class Vantages:
    """Vantages by their bytes; bounded, and emptied when full: those in use come back at once.

    `known` is for the hot path to look into before it calls `read`.
    """

    def __init__(self, capacity: int = 8192) -> None:
        self.known: dict[bytes, Vantage] = {}
        self._capacity = capacity

    def read(self, data: bytes) -> Vantage:
        """Return the vantage that these 49 bytes are; the same object for the same bytes."""
        found = self.known.get(data)
        if found is None:
            if len(self.known) >= self._capacity:
                self.known.clear()
            found = self.known[data] = Vantage(*VANTAGE.unpack(data))
        return found
