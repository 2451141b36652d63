"""What the signals stage hands to export: a finished span, in the conventions' terms."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from otel_ebpf.identity.model import Attributes, Service


class SpanKind(IntEnum):
    """OTLP's numbers (opentelemetry.proto.trace.v1.Span.SpanKind)."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Span(NamedTuple):
    """One span. Times are Unix nanoseconds.

    `common` repeats from span to span (method, route, status, server address) and is encoded once
    and cached; `specific` (path, query, client port) is encoded each time.
    """

    service: Service
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes  # b"" for none
    trace_flags: int  # W3C flags of the span itself; bit 0: sampled
    parent_is_remote: bool
    kind: int
    name: str
    start: int
    end: int
    common: Attributes
    specific: Attributes
    error: bool  # status Error, else Unset
