"""Trace and span ids, made the same way as in the kernel (bpf/core/context.h).

An id is a keyed mix of a secret made at start and {connection, offset, role}, so that the kernel
and user space give the same ids to a request however it is reported. The mix is the finaliser of
SplitMix64 (Steele, Lea, Flood 2014), whose output is uniform.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

_MASK = 0xFFFFFFFFFFFFFFFF
_PAIR = Struct(">QQ")
_ONE = Struct(">Q")


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class TraceIds(NamedTuple):
    """The secret. `low` and `high` are any 64-bit numbers, the same as the kernel was given."""

    low: int
    high: int

    def of(self, connection: int, offset: int, role: int) -> tuple[bytes, bytes]:
        """Return (root trace id, span id) of the request at `offset` of `connection`, seen as `role`."""
        seed = _mix(connection ^ self.low)
        span = _mix((seed + offset) & _MASK ^ self.high ^ role)
        trace = _mix((span + self.low) & _MASK)
        return _PAIR.pack(_mix(trace ^ self.high) or 1, trace), _ONE.pack(span or 1)
