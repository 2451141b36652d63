"""Layer: unit. The private names of the stock exporters that the export stage rests on.

They may change in any release: opentelemetry-exporter-otlp is pinned, and these fail before users do.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans


def test_the_pinned_release() -> None:
    assert version("opentelemetry-exporter-otlp").startswith("1.45.")


@pytest.mark.parametrize("make", [GrpcSpans, GrpcMetrics])
def test_grpc(make: Any) -> None:
    exporter = make(
        endpoint="http://localhost:1",
        timeout=3.0,
        compression=grpc.Compression.NoCompression,
        channel_options=(("grpc.max_send_message_length", -1),),
    )
    try:
        assert isinstance(exporter, OTLPExporterMixin)
        assert exporter._endpoint == "localhost:1"
        assert exporter._insecure is True
        assert exporter._headers == ()
        assert isinstance(exporter._channel, grpc.Channel)
        assert grpc.StatusCode.UNAVAILABLE in exporter._retryable_error_codes
        assert grpc.StatusCode.INTERNAL not in exporter._retryable_error_codes
        assert ("grpc.max_send_message_length", -1) in exporter._channel_options
        assert list(inspect.signature(exporter._initialize_channel_and_stub).parameters) == []
        before = exporter._channel
        before.close()
        exporter._initialize_channel_and_stub()
        assert exporter._channel is not before
    finally:
        assert exporter._shutdown is False
        exporter.shutdown()
        assert exporter._shutdown is True


@pytest.mark.parametrize("make", [HttpSpans, HttpMetrics])
def test_http(make: Any) -> None:
    exporter = make(endpoint="http://localhost:1/v1/x", timeout=3.0)
    try:
        assert exporter._endpoint == "http://localhost:1/v1/x"
        client = exporter._client
        assert client._headers["content-type"] == "application/x-protobuf"
        assert client._compress(b"as it is") == b"as it is"
        assert isinstance(client._transport._session, requests.Session)
    finally:
        exporter._client.shutdown()
