"""Spans as OTLP bytes. Hot path: 1.2 us a span (benchmarks/user_space.py).

A span is written straight to the wire form of opentelemetry.proto.trace.v1.Span. What repeats from
span to span, its template and its shared attributes, is encoded once and kept with them, so that a
span costs one pack of its fixed-size fields, one of the peer's port, one of the network's part, and a join.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final

from otel_ebpf.export.protobuf import attribute_block, delimited, text, varint
from otel_ebpf.signals.names import (
    NETWORK_PEER_PORT,
    REQUEST_ACCEPT,
    REQUEST_WAIT,
    TCP_MIN_RTT,
    TCP_RTT,
    TIME_TO_FIRST_BYTE,
)
from otel_ebpf.signals.network_part import NetworkPart, part_attributes
from otel_ebpf.signals.span import NO_ATTRIBUTES, AttributeBlock, Span, SpanTemplate

__all__ = ["encode_span"]

_ATTRIBUTE: Final = b"\x4a"  # Span.attributes = 9
# Span: trace_id = 1, span_id = 2, parent_span_id = 4, start_time_unix_nano = 7, end_time_unix_nano = 8,
# flags = 16.
_FIXED: Final = Struct("<2s16s2s8sBQBQ2sI").pack
_FIXED_AND_PARENT: Final = Struct("<2s16s2s8s2s8sBQBQ2sI").pack
# The peer's port, in a varint of three bytes whatever its value: what comes before it never changes.
_PORT_KEY: Final = delimited(b"\x0a", NETWORK_PEER_PORT.encode())
_PORT_HEAD: Final = _ATTRIBUTE + varint(len(_PORT_KEY) + 6) + _PORT_KEY + b"\x12\x04\x18"
_PORT: Final = Struct(f"<{len(_PORT_HEAD)}sBBB").pack


def _head_of_double(name: str) -> bytes:
    """Return all of an attribute but its value, a double."""
    key = delimited(b"\x0a", name.encode())
    return _ATTRIBUTE + varint(len(key) + 11) + key + b"\x12\x09\x21"


_RTT_HEAD, _MIN_HEAD, _FIRST_HEAD = map(_head_of_double, (TCP_RTT, TCP_MIN_RTT, TIME_TO_FIRST_BYTE))
_WAIT_HEAD, _ACCEPT_HEAD = map(_head_of_double, (REQUEST_WAIT, REQUEST_ACCEPT))
_DOUBLE: Final = Struct("<d").pack
_THREE: Final = Struct(f"<{len(_RTT_HEAD)}sd{len(_MIN_HEAD)}sd{len(_FIRST_HEAD)}sd").pack
_LIMIT_64: Final = (1 << 64) - 1
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200


def encode_span(span: Span) -> bytes:
    """Return `span` as a protobuf message opentelemetry.proto.trace.v1.Span, without tag or length.

    Never raises on bad input: strings that are not Unicode are repaired, numbers that do not fit
    are clamped. `SpanFlags`: bits 0-7 the W3C trace flags, bit 8 says that bit 9, whether the
    parent is remote, is known.
    """
    template, trace_id, span_id, parent, flags, remote, start, end, shared, port, own, network = span
    flags = flags & 0xFF | (_HAS_IS_REMOTE | _IS_REMOTE if remote else _HAS_IS_REMOTE)
    try:
        if parent:
            fixed = _FIXED_AND_PARENT(
                b"\x0a\x10", trace_id, b"\x12\x08", span_id, b"\x22\x08", parent, 0x39, start, 0x41, end,
                b"\x85\x01", flags,
            )  # fmt: skip
        else:
            fixed = _FIXED(
                b"\x0a\x10", trace_id, b"\x12\x08", span_id, 0x39, start, 0x41, end, b"\x85\x01", flags
            )
    except struct.error:
        return encode_span(_clamped(span))
    parts = [fixed, template.encoded or _encode_template(template)]
    if shared is not NO_ATTRIBUTES:
        parts.append(shared.encoded or _encode_block(shared))
    if port:
        parts.append(_PORT(_PORT_HEAD, port & 0x7F | 0x80, port >> 7 & 0x7F | 0x80, port >> 14))
    if own:
        parts.append(attribute_block(_ATTRIBUTE, own))
    if network is not None:
        parts.append(_encode_part(network))
    return b"".join(parts)


def _encode_part(part: NetworkPart) -> bytes:
    """Encode the network's part: of most requests the same three attributes, on a busy server two more."""
    rtt, rtt_min, first_byte, waited, retransmits, looked_up, accepted = part
    if retransmits or looked_up or not (rtt and rtt_min and first_byte):
        return attribute_block(_ATTRIBUTE, part_attributes(part))
    encoded = _THREE(_RTT_HEAD, rtt / 1e6, _MIN_HEAD, rtt_min / 1e6, _FIRST_HEAD, first_byte / 1e9)
    if waited:
        encoded += _WAIT_HEAD + _DOUBLE(waited / 1e6)
    if accepted:
        encoded += _ACCEPT_HEAD + _DOUBLE(accepted / 1e9)
    return encoded


def _encode_template(template: SpanTemplate) -> bytes:
    """Encode all that repeats: name, kind, attributes, and status."""
    template.encoded = (
        (delimited(b"\x1a", text(template.trace_state)) if template.trace_state else b"")
        + delimited(b"\x2a", text(template.name))
        + (b"\x30" + varint(template.kind & 0x7F))
        + attribute_block(_ATTRIBUTE, template.attributes)
        + (b"\x7a\x02\x18\x02" if template.error else b"")  # status = 15 { code = 3: ERROR = 2 }
    )
    return template.encoded


def _encode_block(block: AttributeBlock) -> bytes:
    block.encoded = attribute_block(_ATTRIBUTE, block.pairs)
    return block.encoded


def _clamped(span: Span) -> Span:
    """Return `span` with times that fit 64 bits; only a broken clock makes others."""
    return span._replace(
        start=min(max(span.start, 0), _LIMIT_64),
        end=min(max(span.end, 0), _LIMIT_64),
    )
