"""OTLP over HTTP/protobuf: the stock exporters' session, sending bytes that are encoded already.

Imported only when it is the protocol. Private names of the stock exporters used here, which
tests/unit/test_export_contract.py pins: `_endpoint`, `_client` and its `_headers`, `_compress`,
`_transport` and `shutdown`, and the transport's `_session`.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry

from otel_ebpf.export.outcome import Outcome, Signal, Verdict
from otel_ebpf.export.response import read_response, status_message
from otel_ebpf.export.settings import ConfigurationError, OtlpSettings
from otel_ebpf.export.stock import stock_environment

__all__ = ["HttpMetricExporter", "HttpSpanExporter", "http_exporter"]

LARGEST_ANSWER: Final = 64 << 10
"""A response is a few bytes; what is longer comes from something else and is not read on."""

_COMPRESSION: Final = {"none": Compression.NoCompression, "gzip": Compression.Gzip}
_RETRYABLE: Final = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "check OTEL_EXPORTER_OTLP_HEADERS",
    HTTPStatus.FORBIDDEN: "check OTEL_EXPORTER_OTLP_HEADERS",
    HTTPStatus.NOT_FOUND: "check the path: OTEL_EXPORTER_OTLP_ENDPOINT is a base to which "
    "v1/traces is added, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT the whole address",
    HTTPStatus.METHOD_NOT_ALLOWED: "this is not an OTLP endpoint",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "raise the backend's limit or lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the backend does not take protobuf over HTTP; try "
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc and its port",
}


class _RawHttp:
    """What both signals share: `send`, on the session that the stock exporter has made."""

    signal: Signal
    _endpoint: str
    _client: Any

    @property
    def target(self) -> str:
        """The address, with its path."""
        return self._endpoint

    def send(self, body: bytes, timeout: float) -> Outcome:
        """Make one attempt; see `outcome.Exporter`. Redirects are not followed: OTLP has none."""
        deadline = monotonic() + timeout
        try:
            session = self._client._transport._session
            with session.post(
                self._endpoint,
                data=self._client._compress(body),
                headers=self._client._headers,
                timeout=timeout,
                verify=session.verify,  # else REQUESTS_CA_BUNDLE wins over the certificate that is set
                allow_redirects=False,
                stream=True,
            ) as answer:
                return self._read(answer, deadline)
        except (requests.ConnectionError, requests.Timeout) as problem:
            return Outcome(Verdict.RETRY, f"{type(problem).__name__}: {problem}")
        except Exception as problem:  # a broken body, an address that is none: nothing may end the sender
            return Outcome(Verdict.REFUSED, f"{type(problem).__name__}: {problem}")

    def _read(self, answer: requests.Response, deadline: float) -> Outcome:
        status = answer.status_code
        if status in _RETRYABLE:
            return Outcome(
                Verdict.RETRY,
                f"HTTP {status} {answer.reason}",
                delay=_delay(answer.headers.get("Retry-After")),
            )
        body = _body(answer, deadline)
        if body is None:
            return Outcome(Verdict.REFUSED, f"HTTP {status} with an answer that is too long or does not end")
        content_type = answer.headers.get("Content-Type", "")
        if 200 <= status < 300:
            if "json" in content_type:
                return _read_json(self.signal, body)
            return read_response(self.signal, body)
        message = f"HTTP {status} {answer.reason}: {status_message(body, content_type) or 'no message'}"
        if 300 <= status < 400:
            message += f" (redirects to {answer.headers.get('Location', 'nowhere')}: set the endpoint to it)"
        elif status in _ADVICE:
            message += f" ({_ADVICE[HTTPStatus(status)]})"
        return Outcome(Verdict.REFUSED, message)

    def close(self) -> None:
        """Close the session. A request that is waiting for its answer goes on until its timeout."""
        self._client.shutdown()


class HttpSpanExporter(_RawHttp, OTLPSpanExporter):
    """Spans."""

    signal = Signal.TRACES


class HttpMetricExporter(_RawHttp, OTLPMetricExporter):
    """Metrics."""

    signal = Signal.METRICS


def _delay(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3)."""
    try:
        return max(0.0, float(Retry().parse_retry_after(retry_after.strip()))) if retry_after else None
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _body(answer: requests.Response, deadline: float) -> bytes | None:
    """Return the body; None when it is longer than any OTLP answer or drips in past the deadline."""
    body = bytearray()
    for byte in answer.iter_content(1):
        body += byte
        if len(body) > LARGEST_ANSWER or monotonic() > deadline:
            return None
    return bytes(body)


def _read_json(signal: Signal, body: bytes) -> Outcome:
    """Read an answer in JSON, which some backends give to every request."""
    try:
        partial = json.loads(body or b"{}").get("partialSuccess") or {}
        rejected = partial.get("rejectedSpans" if signal is Signal.TRACES else "rejectedDataPoints", 0)
        return Outcome(Verdict.ACCEPTED, str(partial.get("errorMessage", "")), int(rejected))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return Outcome(Verdict.REFUSED, "the answer is not OTLP; is this an OTLP endpoint?")


def http_exporter(signal: Signal, settings: OtlpSettings) -> HttpSpanExporter | HttpMetricExporter:
    """Return the exporter for `signal`. Raises ConfigurationError."""
    make = HttpSpanExporter if signal is Signal.TRACES else HttpMetricExporter
    with stock_environment(settings.variables):
        try:
            return make(
                endpoint=settings.endpoint,
                timeout=settings.timeout,
                compression=_COMPRESSION[settings.compression],
            )
        except (KeyError, RuntimeError, ImportError, ValueError, OSError) as problem:
            raise ConfigurationError(f"the OTLP exporter cannot be made: {problem}") from problem
