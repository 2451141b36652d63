"""Layer: unit. The bytes of spans and requests, against the official classes and the SDK's encoder."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import SpanKind as SdkKind

from otel_ebpf import __version__
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.request import encode_request
from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.signals.network_part import NetworkPart
from otel_ebpf.signals.scope import SCHEMA_URL, SCOPE_NAME
from otel_ebpf.signals.span import NO_ATTRIBUTES, AttributeBlock, Span, SpanKind, SpanTemplate
from tests.export_samples import changed

SERVICE = Service(1, "shop", "python", (("service.name", "shop"), ("process.pid", 17), ("tags", ("a", "b"))))
COMMON: Attributes = (
    ("http.request.method", "GET"),
    ("http.response.status_code", 200),
    ("server.port", 8080),
)
SPAN = Span(
    template=SpanTemplate(SERVICE, SpanKind.SERVER, "GET /users/{id}", False, COMMON),
    trace_id=bytes(range(16)),
    span_id=bytes(range(8)),
    parent_span_id=bytes(range(100, 108)),
    trace_flags=1,
    parent_is_remote=True,
    start=1_700_000_000_000_000_000,
    end=1_700_000_000_123_456_789,
    shared=AttributeBlock((("client.address", "::1"), ("network.peer.address", "::1"))),
    peer_port=40_000,
    own=(("url.path", "/users/17"),),
)
SDK_KINDS = {
    SpanKind.INTERNAL: SdkKind.INTERNAL,
    SpanKind.SERVER: SdkKind.SERVER,
    SpanKind.CLIENT: SdkKind.CLIENT,
    SpanKind.PRODUCER: SdkKind.PRODUCER,
    SpanKind.CONSUMER: SdkKind.CONSUMER,
}


def decoded(span: Span) -> trace_pb2.Span:
    return trace_pb2.Span.FromString(encode_span(span))


def by_the_sdk(span: Span) -> ExportTraceServiceRequest:
    trace_id = int.from_bytes(span.trace_id, "big")
    flags = TraceFlags(span.trace_flags)
    state = TraceState.from_header([span.template.trace_state])
    context = SpanContext(trace_id, int.from_bytes(span.span_id, "big"), False, flags, state)
    parent = None
    if span.parent_span_id:
        parent_id = int.from_bytes(span.parent_span_id, "big")
        parent = SpanContext(trace_id, parent_id, span.parent_is_remote, flags)
    readable = ReadableSpan(
        name=span.template.name,
        context=context,
        parent=parent,
        resource=Resource(dict(span.template.service.resource), SCHEMA_URL),
        attributes=dict(span.attributes),
        kind=SDK_KINDS[SpanKind(span.template.kind)],
        status=Status(StatusCode.ERROR if span.template.error else StatusCode.UNSET),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope(SCOPE_NAME, __version__, SCHEMA_URL),
    )
    return encode_spans([readable])


def comparable(span: trace_pb2.Span) -> dict[str, Any]:
    """Every field, with those in which we say more than the SDK on purpose put on one footing."""
    fields: dict[str, Any] = {
        field.name: getattr(span, field.name) for field in trace_pb2.Span.DESCRIPTOR.fields
    }
    fields["status"] = (span.status.code, span.status.message)  # the SDK writes an empty Status for Unset
    fields["flags"] &= ~0xFF  # the SDK leaves the trace flags out
    for name in ("attributes", "events", "links"):
        fields[name] = list(fields[name])
    return fields


@pytest.mark.parametrize("kind", list(SpanKind))
@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize(("parent", "remote"), [(b"", False), (b"12345678", False), (b"12345678", True)])
def test_a_span_is_what_the_sdk_makes_of_it(kind: SpanKind, error: bool, parent: bytes, remote: bool) -> None:
    said = {"parent_span_id": parent, "parent_is_remote": remote, "trace_state": "a=1,b=2" if remote else ""}
    span = changed(SPAN, kind=kind, error=error, **said)
    expected = by_the_sdk(span).resource_spans[0].scope_spans[0].spans[0]
    assert comparable(decoded(span)) == comparable(expected)


@given(st.tuples(*[st.integers(0, 2) | st.integers(0, 0xFFFFFFFF)] * 7))
def test_the_network_s_part_is_what_the_sdk_makes_of_it(part: NetworkPart) -> None:
    span = SPAN._replace(network=part)
    expected = by_the_sdk(span).resource_spans[0].scope_spans[0].spans[0]
    assert comparable(decoded(span)) == comparable(expected)


def test_a_request_is_what_the_sdk_makes_of_it() -> None:
    request = ExportTraceServiceRequest.FromString(encode_request([(SERVICE, encode_span(SPAN))]))
    expected = by_the_sdk(SPAN)
    for message in (request, expected):
        del message.resource_spans[0].scope_spans[0].spans[:]
    assert request == expected


def test_flags_carry_the_trace_flags_and_whether_the_parent_is_remote() -> None:
    assert decoded(SPAN).flags == 0x301
    assert decoded(SPAN._replace(parent_is_remote=False)).flags == 0x101
    assert decoded(SPAN._replace(trace_flags=0, parent_is_remote=False)).flags == 0x100
    assert decoded(SPAN._replace(trace_flags=0x1FF)).flags == 0x3FF


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=150)
VALUES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=400),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, 1 << 22),
    st.booleans(),
    st.floats(allow_nan=False),
    st.lists(st.text(st.characters(codec="utf-8")), max_size=4).map(tuple),
)


@given(
    st.dictionaries(KEYS, VALUES, max_size=16).map(lambda found: tuple(found.items())),
    st.tuples(st.integers(0, 16), st.integers(0, 16)).map(sorted),
    st.text(st.characters(codec="utf-8")),
    st.integers(0, (1 << 64) - 1),
    st.binary(),
)
def test_any_attributes_are_what_the_sdk_makes_of_them(
    pairs: Attributes, cuts: list[int], name: str, time: int, seed: bytes
) -> None:
    first, second = cuts
    trace_id = (seed + b"\x01" * 16)[:16]
    shared = AttributeBlock(pairs[first:second])
    times = {"start": time, "end": time}
    facts = {"attributes": pairs[:first], "shared": shared, "peer_port": 0, "own": pairs[second:]}
    span = changed(SPAN, name=name, trace_id=trace_id, **times, **facts)
    expected = by_the_sdk(span).resource_spans[0].scope_spans[0].spans[0]
    for _ in range(2):  # the second time from the caches
        assert comparable(decoded(span)) == comparable(expected)


ANYTHING = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(), st.lists(st.text()).map(tuple))
PAIRS = st.lists(st.tuples(st.text(), ANYTHING), max_size=5).map(tuple)


@given(PAIRS, PAIRS, PAIRS, st.text(), st.integers(), st.integers(), st.integers(), st.integers())
def test_never_raises_and_always_decodes(
    common: Attributes,
    shared: Attributes,
    own: Attributes,
    name: str,
    start: int,
    end: int,
    kind: int,
    flags: int,
) -> None:
    block = AttributeBlock(shared)
    facts = {"attributes": common, "shared": block, "own": own, "name": name, "kind": kind}
    span = changed(SPAN, **facts, start=start, end=end, trace_flags=flags)
    assert len(decoded(span).attributes) == len(common) + len(shared) + 1 + len(own)


@given(st.text(st.characters(categories=["Cs", "L"]), max_size=300))
def test_surrogates_become_the_replacement_character(text: str) -> None:
    for span in (SPAN._replace(own=(("k", text),)), changed(SPAN, own=(), name=text)):
        message = decoded(span)
        got = message.attributes[-1].value.string_value if span.own else message.name
        assert got == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_a_lone_surrogate_costs_one_character() -> None:
    assert decoded(SPAN._replace(own=(("k", "a\ud800b"),))).attributes[-1].value.string_value == "a\ufffdb"


def test_times_beyond_64_bits_are_clamped() -> None:
    message = decoded(SPAN._replace(start=-1, end=1 << 70))
    assert (message.start_time_unix_nano, message.end_time_unix_nano) == (0, (1 << 64) - 1)


def test_nan_is_kept() -> None:
    span = changed(SPAN, attributes=(("k", float("nan")),))
    assert math.isnan(decoded(span).attributes[0].value.double_value)


@pytest.mark.parametrize("port", [1, 80, 0x7F, 0x80, 8080, 0x3FFF, 0x4000, 65535])
def test_any_port_is_what_the_sdk_makes_of_it(port: int) -> None:
    span = SPAN._replace(peer_port=port)
    expected = by_the_sdk(span).resource_spans[0].scope_spans[0].spans[0]
    assert comparable(decoded(span)) == comparable(expected)


def test_values_of_other_types_than_declared_become_strings() -> None:
    odd: Any = (("none", None), ("bytes", b"x"))
    service = Service(9, "odd", "c", odd)
    message = decoded(changed(SPAN, attributes=odd, own=odd, shared=NO_ATTRIBUTES, peer_port=0))
    assert [one.value.string_value for one in message.attributes] == ["None", "b'x'"] * 2
    request = ExportTraceServiceRequest.FromString(encode_request([(service, encode_span(SPAN))]))
    assert request.resource_spans[0].resource.attributes[0].value.string_value == "None"


def test_a_request_has_one_resource_for_each_service_and_keeps_the_order() -> None:
    other = Service(2, "cart", "go", (("service.name", "cart"),))
    twin = Service(3, "shop", "python", SERVICE.resource)
    order = [SERVICE, other, SERVICE, twin, other, SERVICE]
    pairs = [(service, encode_span(changed(SPAN, name=f"n{at}"))) for at, service in enumerate(order)]
    request = ExportTraceServiceRequest.FromString(encode_request(pairs))
    names = [
        (entry.resource.attributes[0].value.string_value, [span.name for span in entry.scope_spans[0].spans])
        for entry in request.resource_spans
    ]
    assert names == [("shop", ["n0", "n2", "n5"]), ("cart", ["n1", "n4"]), ("shop", ["n3"])]


def test_a_request_with_large_spans_and_none() -> None:
    large = SPAN._replace(own=(("url.query", "q" * 70_000),))
    request = ExportTraceServiceRequest.FromString(encode_request([(SERVICE, encode_span(large))] * 3))
    spans = request.resource_spans[0].scope_spans[0].spans
    assert [len(span.attributes[-1].value.string_value) for span in spans] == [70_000] * 3
    assert encode_request([]) == b""
