"""The network's part in a request, on its span: docs/network-in-a-request.md."""

from __future__ import annotations

from typing import Final

from otel_ebpf.identity.model import Attributes
from otel_ebpf.signals import names

__all__ = ["NetworkPart", "part_attributes"]

_US: Final = 1e6
_NS: Final = 1e9

NetworkPart = tuple[int, int, int, int, int, int, int]
"""Smoothed round trip time and the least one in us; ns to the response's first byte; us that the request had
waited when its server read it; segments sent again; ns of the lookup before its connection; ns of the wait
before its connection was accepted. 0: not known, or none that can be told."""


def part_attributes(part: NetworkPart) -> Attributes:
    """Return the attributes of what is known."""
    rtt, rtt_min, first_byte, waited, retransmits, looked_up, accepted = part
    pairs: Attributes = ()
    if rtt:
        pairs += ((names.TCP_RTT, rtt / _US),)
    if rtt_min:
        pairs += ((names.TCP_MIN_RTT, rtt_min / _US),)
    if first_byte:
        pairs += ((names.TIME_TO_FIRST_BYTE, first_byte / _NS),)
    if waited:
        pairs += ((names.REQUEST_WAIT, waited / _US),)
    if retransmits:
        pairs += ((names.TCP_RETRANSMITS, retransmits),)
    if looked_up:
        pairs += ((names.DNS_LOOKUP, looked_up / _NS),)
    if accepted:
        pairs += ((names.REQUEST_ACCEPT, accepted / _NS),)
    return pairs
