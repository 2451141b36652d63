"""OTLP over gRPC: the stock exporters' channel, sending bytes that are encoded already.

Imported only when gRPC is the protocol: it takes 30 MB. Private names of the stock exporters used
here, which tests/unit/test_export_contract.py pins: `_channel`, `_headers`, `_endpoint`,
`_insecure`, `_retryable_error_codes`, `_initialize_channel_and_stub`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
from opentelemetry.exporter.otlp.proto.grpc.exporter import (
    OTLPExporterMixin,
)
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from otel_ebpf.export.outcome import Outcome, Signal, Verdict
from otel_ebpf.export.response import grpc_delay, read_response
from otel_ebpf.export.settings import ConfigurationError, OtlpSettings
from otel_ebpf.export.stock import stock_environment

__all__ = ["GrpcMetricExporter", "GrpcSpanExporter", "grpc_exporter"]

_OPTIONS: Final[Any] = (
    ("grpc.max_send_message_length", -1),  # bounded by the queue's request size
    ("grpc.max_receive_message_length", 1 << 20),  # a response is a few bytes
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5000),  # gRPC's own 120 s would outlast a restart of the backend
)
_COMPRESSION: Final = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}
_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_ADVICE: Final = {
    grpc.StatusCode.UNIMPLEMENTED: "this endpoint does not take this signal as OTLP over gRPC; "
    "is it the port for HTTP?",
    grpc.StatusCode.UNAUTHENTICATED: "check OTEL_EXPORTER_OTLP_HEADERS",
    grpc.StatusCode.PERMISSION_DENIED: "check OTEL_EXPORTER_OTLP_HEADERS",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "raise the backend's message limit or "
    "lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    grpc.StatusCode.UNAVAILABLE: "is the backend up, and does OTEL_EXPORTER_OTLP_ENDPOINT name it "
    "(http:// without TLS, https:// with)?",
}


class _RawGrpc(OTLPExporterMixin[Any, Any, Any, Any]):
    """What both signals share: `send`, on the channel that the stock exporter has made."""

    signal: Signal
    target: str
    _call: Callable[..., bytes]

    def connect(self) -> None:
        """Bind the method to the channel, without serializers: bytes go in and come out."""
        self.target = f"{'http' if self._insecure else 'https'}://{self._endpoint} (gRPC)"
        assert self._channel is not None
        self._call = self._channel.unary_unary(_METHODS[self.signal])

    def send(self, body: bytes, timeout: float) -> Outcome:
        """Make one attempt; see `outcome.Exporter`."""
        try:
            answer = self._call(body, timeout=timeout, metadata=self._headers)
        except grpc.RpcError as problem:
            return self._failure(problem)
        except Exception as problem:  # nothing that a library raises may end the sender
            # A ValueError says that the channel was closed under the call, or that a header cannot be sent.
            verdict = Verdict.RETRY if self._shutdown else Verdict.REFUSED
            return Outcome(verdict, f"{type(problem).__name__}: {problem}")
        return read_response(self.signal, answer)

    def _failure(self, problem: grpc.RpcError) -> Outcome:
        code = problem.code()
        delay = grpc_delay(problem.trailing_metadata() or ())
        message = f"{code.name}: {problem.details() or 'no details'}"
        if code in _ADVICE:
            message += f" ({_ADVICE[code]})"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._reconnect()
        codes: Any = self._retryable_error_codes
        retryable = code in codes
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            retryable = delay is not None  # specification: only with a RetryInfo
        return Outcome(Verdict.RETRY if retryable else Verdict.REFUSED, message, delay=delay)

    def _reconnect(self) -> None:
        """Leave a connection that does not answer: it may lead to a host that is gone."""
        if self._channel is None or self._shutdown:
            return
        self._channel.close()
        self._initialize_channel_and_stub()
        self.connect()

    def close(self) -> None:
        """Close the channel, which ends a call in progress."""
        if not self._shutdown:
            self.shutdown()


class GrpcSpanExporter(_RawGrpc, OTLPSpanExporter):
    """Spans."""

    signal = Signal.TRACES


class GrpcMetricExporter(_RawGrpc, OTLPMetricExporter):
    """Metrics."""

    signal = Signal.METRICS


def grpc_exporter(signal: Signal, settings: OtlpSettings) -> GrpcSpanExporter | GrpcMetricExporter:
    """Return the exporter for `signal`. Raises ConfigurationError."""
    make = GrpcSpanExporter if signal is Signal.TRACES else GrpcMetricExporter
    with stock_environment(settings.variables):
        try:
            exporter = make(
                endpoint=settings.endpoint,
                timeout=settings.timeout,
                compression=_COMPRESSION[settings.compression],
                channel_options=_OPTIONS,
            )
        except (KeyError, RuntimeError, ValueError) as problem:
            raise ConfigurationError(f"the OTLP exporter cannot be made: {problem}") from problem
    exporter.connect()
    return exporter
