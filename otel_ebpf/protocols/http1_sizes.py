"""Body sizes of a whole exchange, from the kernel's byte counts and the declared lengths.

Hot path: part of the budget in `http1.py`.
"""

from __future__ import annotations

from otel_ebpf.kernel.records import End, Exchange
from otel_ebpf.protocols.http1_chunks import chunked_size
from otel_ebpf.protocols.http1_fields import CHUNKED, NO_LENGTH
from otel_ebpf.protocols.http1_head import head_end
from otel_ebpf.protocols.http1_response import declared_by, has_body

_LENGTH = int(End.LENGTH)
_CHUNK = int(End.CHUNK)
_FIN = int(End.FIN)
_BROKEN = (int(End.FIN), int(End.RESET), int(End.IDLE), int(End.NONE))
UNKNOWN = -1


def request_size(exchange: Exchange, request: bytes, declared: int, end: int) -> int:
    """Return the request's body size; `end` is where its head ends, -1 if that was not seen.

    A message that was broken off has the size that it declares, a whole one what passed.
    """
    broken = exchange.end in _BROKEN
    passed = exchange.request_bytes - end
    if passed <= 0 < end and not broken:
        return 0
    if declared >= 0:
        return declared if broken or end <= 0 else min(passed, declared)
    if end <= 0:
        return UNKNOWN
    if declared == CHUNKED:
        return _chunked(request, end, exchange.request_bytes)
    if declared == NO_LENGTH and end <= len(request):
        return 0
    return UNKNOWN if passed > 0 else 0


def response_size(exchange: Exchange, method: str, status: int, start: int) -> int:
    """Return the response's body size; its head begins at `start` of what was captured."""
    end = exchange.response_head or head_end(exchange.response, start)
    passed = exchange.response_bytes - end if end > 0 else UNKNOWN
    if exchange.end == _LENGTH and passed >= 0:
        return passed
    if not status or not has_body(method, status):
        return 0
    head = exchange.response[start : end if end > 0 else None]
    declared = declared_by(head)
    if declared >= 0:
        return declared if exchange.end in _BROKEN or passed < 0 else min(passed, declared)
    if passed < 0:
        return UNKNOWN
    if declared == CHUNKED or exchange.end == _CHUNK:
        return _chunked(exchange.response, end, exchange.response_bytes)
    return passed if exchange.end == _FIN and end <= len(exchange.response) else UNKNOWN


def _chunked(captured: bytes, start: int, passed: int) -> int:
    return chunked_size(captured, start) if passed <= len(captured) else UNKNOWN
