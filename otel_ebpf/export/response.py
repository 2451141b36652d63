"""What a backend's answer says: partial success, errors, and when to come back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ebpf.export.outcome import Outcome, Signal, Verdict

__all__ = ["grpc_delay", "read_response", "status_message"]


def read_response(signal: Signal, answer: bytes) -> Outcome:
    """Read Export{Trace,Metrics}ServiceResponse. What cannot be read is a refusal: it says nothing."""
    response: Any = (
        ExportTraceServiceResponse() if signal is Signal.TRACES else ExportMetricsServiceResponse()
    )
    try:
        response.ParseFromString(answer)
    except DecodeError:
        shown = answer[:80].decode("utf-8", "backslashreplace")
        return Outcome(Verdict.REFUSED, f"the answer is not OTLP: {shown!r}; is this an OTLP endpoint?")
    partial = response.partial_success
    rejected = partial.rejected_spans if signal is Signal.TRACES else partial.rejected_data_points
    return Outcome(Verdict.ACCEPTED, partial.error_message, rejected)


def grpc_delay(metadata: Iterable[Any]) -> float | None:
    """Return the seconds of the google.rpc.RetryInfo among the trailers; None if there is none.

    It is a detail of the Status in `grpc-status-details-bin`; some backends send it on its own.
    """
    found = RetryInfo()
    try:
        for key, value in metadata:
            data = value if isinstance(value, bytes) else value.encode()
            if key == "google.rpc.retryinfo-bin":
                found.ParseFromString(data)
            elif key == "grpc-status-details-bin":
                for detail in Status.FromString(data).details:
                    detail.Unpack(found)
    except DecodeError:
        return None
    if not found.HasField("retry_delay"):
        return None
    return max(0.0, float(found.retry_delay.seconds + found.retry_delay.nanos / 1e9))


def status_message(body: bytes, content_type: str) -> str:
    """Return what the body of an HTTP error says: google.rpc.Status in protobuf, or text."""
    if "protobuf" in content_type:
        try:
            return str(Status.FromString(body).message)[:200]
        except DecodeError:
            return ""
    return " ".join(body[:200].decode("utf-8", "replace").split())
