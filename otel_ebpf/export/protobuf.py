"""The few pieces of the protobuf wire format that OTLP needs, and attribute values in it.

Wire format: protobuf.dev/programming-guides/encoding. Messages: opentelemetry.proto.common.v1.
Everything here is the slow, general form; `export.otlp` keeps its results and takes short cuts.
"""

from __future__ import annotations

from struct import Struct

from otel_ebpf.identity.model import Attributes, AttributeValue

__all__ = ["attribute_block", "delimited", "text", "varint"]

_DOUBLE = Struct("<Bd")
_INT64_MASK = 0xFFFFFFFFFFFFFFFF

# AnyValue's fields: string 1, bool 2, int 3, double 4, array 5.
_STRING = b"\x0a"
_BOOL_TRUE = b"\x10\x01"
_BOOL_FALSE = b"\x10\x00"
_INT = b"\x18"
_DOUBLE_TAG = 0x21
_ARRAY = b"\x2a"


def varint(number: int) -> bytes:
    """Return `number`, at least 0, in base 128, least significant group first."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(tag: bytes, body: bytes) -> bytes:
    """Return a length-delimited field: its tag, the length of `body`, and `body`."""
    return tag + varint(len(body)) + body


def text(value: str) -> bytes:
    """Return `value` in UTF-8; half surrogates, which UTF-8 cannot say, become U+FFFD."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def any_value(value: AttributeValue) -> bytes:
    """Return the AnyValue for `value`. An integer beyond 64 bits, which it cannot hold, becomes a string."""
    if isinstance(value, bool):
        return _BOOL_TRUE if value else _BOOL_FALSE
    if isinstance(value, str):
        return delimited(_STRING, text(value))
    if isinstance(value, float):
        return _DOUBLE.pack(_DOUBLE_TAG, value)
    if isinstance(value, tuple):
        return delimited(_ARRAY, b"".join([delimited(b"\x0a", any_value(item)) for item in value]))
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return _INT + varint(value & _INT64_MASK)
    # An integer that is too large, or what is not declared: it must not end the thread that encodes.
    return delimited(_STRING, text(str(value)))


def attribute(tag: bytes, key: str, value: AttributeValue) -> bytes:
    """Return one KeyValue as the field `tag` of the message that it belongs to."""
    return delimited(tag, delimited(b"\x0a", text(key)) + delimited(b"\x12", any_value(value)))


def attribute_block(tag: bytes, attributes: Attributes) -> bytes:
    """Return `attributes` as repeated fields `tag`."""
    return b"".join([attribute(tag, key, value) for key, value in attributes])
