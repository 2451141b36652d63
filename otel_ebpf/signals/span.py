"""What the signals stage hands to export: a finished span, in the conventions' terms."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.signals.names import NETWORK_PEER_PORT
from otel_ebpf.signals.network_part import NetworkPart, part_attributes


class SpanKind(IntEnum):
    """OTLP's numbers (opentelemetry.proto.trace.v1.Span.SpanKind)."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class AttributeBlock:
    """Attributes that many spans have in common. `encoded` is export's: filled at first use."""

    __slots__ = ("encoded", "pairs")

    def __init__(self, pairs: Attributes) -> None:
        self.pairs = pairs
        self.encoded = b""


class SpanTemplate:
    """What many spans of a service have in common. `encoded` is export's: filled at first use."""

    __slots__ = ("attributes", "encoded", "error", "kind", "name", "service", "trace_state")

    def __init__(  # noqa: PLR0917
        self,
        service: Service,
        kind: int,
        name: str,
        error: bool,
        attributes: Attributes,
        trace_state: str = "",
    ) -> None:
        """`error`: the status is Error, else Unset. `trace_state` as in the header tracestate."""
        self.service = service
        self.kind = kind
        self.name = name
        self.error = error
        self.attributes = attributes
        self.trace_state = trace_state
        self.encoded = b""


NO_ATTRIBUTES = AttributeBlock(())


class Span(NamedTuple):
    """One span. Times are Unix nanoseconds.

    Its attributes are those of the template, those of `shared`, which spans of other templates have
    too (the peer), the peer's port, its `own`, and those of the network's part. Only the last three are
    encoded for each span.
    """

    template: SpanTemplate
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes  # b"" for none
    trace_flags: int  # W3C flags of the span itself; bit 0: sampled
    parent_is_remote: bool
    start: int
    end: int
    shared: AttributeBlock
    peer_port: int  # 0 for none
    own: Attributes = ()
    network: NetworkPart | None = None

    @property
    def attributes(self) -> Attributes:
        """All attributes. Not for the hot path."""
        port: Attributes = ((NETWORK_PEER_PORT, self.peer_port),) if self.peer_port else ()
        part = part_attributes(self.network) if self.network is not None else ()
        return self.template.attributes + self.shared.pairs + port + self.own + part
