"""Spans as OTLP bytes. Hot path: 2.5 us a span (benchmarks/export_path.py).

A span is written straight to the wire form of opentelemetry.proto.trace.v1.Span. What repeats from
span to span, its `common` attributes, and its name with kind, status and flags, is encoded once and
kept, so that a span costs one pack of its fixed-size fields, two look-ups, and its `specific` values.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final

from otel_ebpf.export.protobuf import attribute, attribute_block, delimited, text, varint
from otel_ebpf.identity.model import Attributes
from otel_ebpf.signals.span import Span

__all__ = ["encode_span"]

MAXIMUM_KEPT: Final = 4096
"""Blocks kept of each sort. A full cache is emptied: the ones in use come back within a few spans."""

_ATTRIBUTE: Final = b"\x4a"  # Span.attributes = 9
# Span: trace_id = 1, span_id = 2, parent_span_id = 4, start_time_unix_nano = 7, end_time_unix_nano = 8.
_FIXED: Final = Struct("<2s16s2s8sBQBQ").pack
_FIXED_AND_PARENT: Final = Struct("<2s16s2s8s2s8sBQBQ").pack
_FLAGS: Final = Struct("<I").pack
_LIMIT_64: Final = (1 << 64) - 1
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

_TABLED: Final = 256
"""String values of fewer bytes find what stands before them in a table, by key and length."""

_Key = tuple[Attributes, str, int, bool, int, bool]

_Kept = tuple[Attributes, bytes, tuple[tuple[int, type], ...]]
"""The common attributes, the block, and which of the attributes are numbers, of which type."""

_blocks: dict[_Key, _Kept] = {}
_string_heads: dict[str, list[bytes]] = {}
_integer_heads: dict[str, list[bytes]] = {}


def encode_span(span: Span) -> bytes:
    """Return `span` as a protobuf message opentelemetry.proto.trace.v1.Span, without tag or length.

    Never raises on bad input: strings that are not Unicode are repaired, numbers that do not fit
    are clamped. `SpanFlags`: bits 0-7 the W3C trace flags, bit 8 says that bit 9, whether the
    parent is remote, is known.
    """
    _, trace_id, span_id, parent, flags, remote, kind, name, start, end, common, specific, error = span
    key = (common, name, kind, error, flags, remote)
    kept = _blocks.get(key)
    if kept is None or (kept[0] is not common and not _same_types(kept, common)):
        kept = _keep_block(key)
    try:
        if parent:
            fixed = _FIXED_AND_PARENT(
                b"\x0a\x10", trace_id, b"\x12\x08", span_id, b"\x22\x08", parent, 0x39, start, 0x41, end
            )
        else:
            fixed = _FIXED(b"\x0a\x10", trace_id, b"\x12\x08", span_id, 0x39, start, 0x41, end)
    except struct.error:
        return encode_span(_clamped(span))
    parts = [fixed, kept[1]]
    for name, value in specific:
        if type(value) is str:
            try:
                data = value.encode()
            except UnicodeEncodeError:
                data = text(value)
            heads = _string_heads.get(name) or _keep_string_heads(name)
            size = len(data)
            if size < _TABLED:
                parts += heads[size], data
                continue
        elif type(value) is int and 0 <= value < 0x200000:
            parts += _small_integer(name, value)
            continue
        parts.append(attribute(_ATTRIBUTE, name, value))
    return b"".join(parts)


def _small_integer(name: str, value: int) -> tuple[bytes, bytes]:
    """Return what stands before `value`, under 2**21 (ports, sizes, codes), and its varint."""
    heads = _integer_heads.get(name) or _keep_integer_heads(name)
    if value < 0x80:
        return heads[1], bytes((value,))
    if value < 0x4000:
        return heads[2], bytes((value & 0x7F | 0x80, value >> 7))
    return heads[3], bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))


def _same_types(kept: _Kept, common: Attributes) -> bool:
    """Tell whether equal blocks are the same on the wire: 1, 1.0 and True are equal, and are not."""
    for at, kind in kept[2]:  # noqa: SIM110 (a generator costs three times as much)
        if type(common[at][1]) is not kind:
            return False
    return True


def _keep_block(key: _Key) -> _Kept:
    """Encode all that repeats: name, kind, status, flags, and the common attributes."""
    common, name, kind, error, flags, remote = key
    context = flags & 0xFF | _HAS_IS_REMOTE | (_IS_REMOTE if remote else 0)
    status = b"\x7a\x02\x18\x02" if error else b""  # status = 15 { code = 3: ERROR = 2 }
    block = (
        delimited(b"\x2a", text(name))
        + (b"\x30" + varint(kind & 0x7F))
        + attribute_block(_ATTRIBUTE, common)
        + status
        + (b"\x85\x01" + _FLAGS(context))
    )
    if len(_blocks) >= MAXIMUM_KEPT:
        _blocks.clear()
    _blocks.pop(key, None)  # an equal key of other types would stay
    numbers = tuple(
        (at, type(value)) for at, (_, value) in enumerate(common) if isinstance(value, int | float)
    )
    kept = common, block, numbers
    _blocks[key] = kept
    return kept


def _key_field(name: str) -> bytes:
    return delimited(b"\x0a", text(name)) + b"\x12"  # KeyValue.key = 1, and the tag of its value = 2


def _keep_string_heads(name: str) -> list[bytes]:
    if len(_string_heads) >= MAXIMUM_KEPT // _TABLED:
        _string_heads.clear()
    field = _key_field(name)
    heads = []
    for size in range(_TABLED):
        value = b"\x0a" + varint(size)
        inner = field + varint(len(value) + size) + value
        heads.append(_ATTRIBUTE + varint(len(inner) + size) + inner)
    _string_heads[name] = heads
    return heads


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
