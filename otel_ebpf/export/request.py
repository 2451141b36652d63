"""ExportTraceServiceRequest from encoded spans: one ResourceSpans for each service.

Hot path: 0.4 us a span (benchmarks/user_space.py). Messages:
opentelemetry.proto.collector.trace.v1, opentelemetry.proto.trace.v1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otel_ebpf.export.protobuf import attribute_block, delimited, varint
from otel_ebpf.identity.model import Service
from otel_ebpf.signals.scope import SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION

__all__ = ["encode_request"]

_SCOPE: Final = delimited(
    b"\x0a", delimited(b"\x0a", SCOPE_NAME.encode()) + delimited(b"\x12", SCOPE_VERSION.encode())
)
_SCHEMA: Final = delimited(b"\x1a", SCHEMA_URL.encode())  # schema_url = 3 in ScopeSpans and ResourceSpans
_SPAN_HEADS: Final = [b"\x12" + varint(size) for size in range(1024)]  # ScopeSpans.spans = 2

# By identity. A full cache is emptied, so that services that are gone do not stay.
_resources: dict[Service, bytes] = {}
_MAXIMUM_RESOURCES: Final = 4096


def encode_request(spans: Iterable[tuple[Service, bytes]]) -> bytes:
    """Return the request that carries `spans`, pairs of a service and an encoded Span.

    The order of a service's spans is kept, and services come in the order of their first span.
    """
    groups: dict[Service, list[bytes]] = {}
    last: Service | None = None
    parts: list[bytes] = []
    for service, span in spans:
        if service is not last:
            last = service
            found = groups.get(service)
            if found is None:
                found = groups[service] = []
            parts = found
        size = len(span)
        parts += (_SPAN_HEADS[size] if size < 1024 else b"\x12" + varint(size)), span
    out: list[bytes] = []
    for service, group in groups.items():
        _append_service(out, service, group)
    return b"".join(out)


def _append_service(out: list[bytes], service: Service, parts: list[bytes]) -> None:
    """Append a ResourceSpans whose spans, each with its tag and length, are `parts`."""
    resource = _resources.get(service) or _keep_resource(service)
    length = len(_SCOPE) + sum(map(len, parts)) + len(_SCHEMA)
    scope_head = b"\x12" + varint(length)  # ResourceSpans.scope_spans = 2
    total = len(resource) + len(scope_head) + length + len(_SCHEMA)
    out += b"\x0a" + varint(total), resource, scope_head, _SCOPE
    out += parts
    out += _SCHEMA, _SCHEMA


def _keep_resource(service: Service) -> bytes:
    if len(_resources) >= _MAXIMUM_RESOURCES:
        _resources.clear()
    block = delimited(b"\x0a", attribute_block(b"\x0a", service.resource))  # resource = 1, attributes = 1
    _resources[service] = block
    return block
