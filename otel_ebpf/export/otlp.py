"""Spans as OTLP bytes. Hot path: 1.2 us a span (benchmarks/user_space.py).

A span is written straight to the wire form of opentelemetry.proto.trace.v1.Span. What repeats from
span to span, its template and its shared attributes, is encoded once and kept with them, so that a
span costs one pack of its fixed-size fields, and its `own` values.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final

from otel_ebpf.export.protobuf import attribute, attribute_block, delimited, text, varint
from otel_ebpf.signals.span import NO_ATTRIBUTES, AttributeBlock, Span, SpanTemplate

__all__ = ["encode_span"]

MAXIMUM_KEPT: Final = 4096
"""Names of attributes for which tables are kept. A full cache is emptied."""

_ATTRIBUTE: Final = b"\x4a"  # Span.attributes = 9
# Span: trace_id = 1, span_id = 2, parent_span_id = 4, start_time_unix_nano = 7, end_time_unix_nano = 8,
# flags = 16.
_FIXED: Final = Struct("<2s16s2s8sBQBQ2sI").pack
_FIXED_AND_PARENT: Final = Struct("<2s16s2s8s2s8sBQBQ2sI").pack
_LIMIT_64: Final = (1 << 64) - 1
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

_integer_heads: dict[str, list[bytes]] = {}


def encode_span(span: Span) -> bytes:
    """Return `span` as a protobuf message opentelemetry.proto.trace.v1.Span, without tag or length.

    Never raises on bad input: strings that are not Unicode are repaired, numbers that do not fit
    are clamped. `SpanFlags`: bits 0-7 the W3C trace flags, bit 8 says that bit 9, whether the
    parent is remote, is known.
    """
    template, trace_id, span_id, parent, flags, remote, start, end, shared, own = span
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
    for name, value in own:
        if type(value) is int and 0 <= value < 0x200000:
            parts += _small_integer(name, value)
        else:
            parts.append(attribute(_ATTRIBUTE, name, value))
    return b"".join(parts)


def _encode_template(template: SpanTemplate) -> bytes:
    """Encode all that repeats: name, kind, attributes, and status."""
    template.encoded = (
        delimited(b"\x2a", text(template.name))
        + (b"\x30" + varint(template.kind & 0x7F))
        + attribute_block(_ATTRIBUTE, template.attributes)
        + (b"\x7a\x02\x18\x02" if template.error else b"")  # status = 15 { code = 3: ERROR = 2 }
    )
    return template.encoded


def _encode_block(block: AttributeBlock) -> bytes:
    block.encoded = attribute_block(_ATTRIBUTE, block.pairs)
    return block.encoded


def _small_integer(name: str, value: int) -> tuple[bytes, bytes]:
    """Return what stands before `value`, under 2**21 (ports, sizes, codes), and its varint."""
    heads = _integer_heads.get(name) or _keep_integer_heads(name)
    if value < 0x80:
        return heads[1], bytes((value,))
    if value < 0x4000:
        return heads[2], bytes((value & 0x7F | 0x80, value >> 7))
    return heads[3], bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))


def _key_field(name: str) -> bytes:
    return delimited(b"\x0a", text(name)) + b"\x12"  # KeyValue.key = 1, and the tag of its value = 2


def _keep_integer_heads(name: str) -> list[bytes]:
    if len(_integer_heads) >= MAXIMUM_KEPT:
        _integer_heads.clear()
    field = _key_field(name)
    heads = []
    for size in range(4):
        inner = field + bytes((1 + size,)) + b"\x18"
        heads.append(_ATTRIBUTE + varint(len(inner) + size) + inner)
    _integer_heads[name] = heads
    return heads


def _clamped(span: Span) -> Span:
    """Return `span` with times that fit 64 bits; only a broken clock makes others."""
    return span._replace(
        start=min(max(span.start, 0), _LIMIT_64),
        end=min(max(span.end, 0), _LIMIT_64),
    )
