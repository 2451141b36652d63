"""A real OTLP receiver for tests: gRPC and HTTP/protobuf, TLS, gzip, and failures on demand.

    with OtlpReceiver() as receiver:
        ...  # point OTEL_EXPORTER_OTLP_ENDPOINT at receiver.grpc_endpoint or receiver.http_endpoint
        receiver.wait_for(lambda: len(receiver.spans()) == 3)
        assert receiver.spans()[0].attributes["http.request.method"] == "GET"

Failures: `receiver.answer = Answer(http=503, grpc="UNAVAILABLE")` for every request from now on, or
`receiver.answers.append(...)` for the next one only. As a program it counts bytes and decodes nothing:
`python otlp_receiver.py [GRPC_PORT HTTP_PORT]` prints its endpoints of both, and a total at end of input.
"""

from __future__ import annotations

import gzip
import ssl
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import NamedTemporaryFile
from threading import Condition, Event, Thread
from typing import Any, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

T = TypeVar("T")
Attributes = dict[str, Any]

TRACES = "traces"
METRICS = "metrics"
_METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": TRACES,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": METRICS,
}


@dataclass(frozen=True)
class Answer:
    """How to answer a request. The default accepts it."""

    grpc: str = "OK"  # a grpc.StatusCode's name
    http: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    retry_delay: float | None = None  # seconds: RetryInfo and Retry-After
    rejected: int = 0  # partial success
    message: str = ""
    body: bytes | None = None  # instead of the proper one
    hang: float = 0.0  # seconds before answering

    @property
    def accepts(self) -> bool:
        return self.grpc == "OK" and self.http == 200 and self.body is None


@dataclass(frozen=True)
class Request:
    """One export request as it came."""

    signal: str
    transport: str  # "grpc" or "http"
    body: bytes
    headers: dict[str, str]
    accepted: bool
    at: float  # seconds, of time.monotonic()


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, decoded with the official classes. Ids in hex, "" for no parent; times Unix nanoseconds."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    status: int
    flags: int
    trace_state: str
    attributes: Attributes
    resource: Attributes
    scope: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True)
class Point:
    """One data point. `value` of sums and gauges; the others of histograms."""

    attributes: Attributes
    start: int
    time: int
    value: float = 0
    count: int = 0
    sum: float = 0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    min: float = 0
    max: float = 0


@dataclass(frozen=True)
class ReceivedMetric:
    """One metric of one resource in one request."""

    name: str
    unit: str
    description: str
    kind: str  # "sum", "gauge" or "histogram"
    temporality: int  # 1 delta, 2 cumulative
    monotonic: bool
    resource: Attributes
    points: list[Point] = field(default_factory=list)


class OtlpReceiver:
    """Listens on loopback for gRPC and HTTP until it is closed."""

    def __init__(
        self,
        *,
        tls: tuple[bytes, bytes] | None = None,
        client_ca: bytes | None = None,
        keep: bool = True,
        grpc_port: int = 0,
        http_port: int = 0,
    ) -> None:
        """`tls` is (private key, certificate chain) in PEM; `client_ca` demands client certificates."""
        self.answer = Answer()
        self.answers: deque[Answer] = deque()
        self.bytes_received = 0
        self._keep = keep
        self._requests: list[Request] = []
        self._changed = Condition()
        self._closing = Event()
        self._scheme = "https" if tls else "http"
        self._grpc = grpc.server(ThreadPoolExecutor(8), handlers=[_GrpcHandler(self)], options=_GRPC_OPTIONS)
        if tls:
            credentials = grpc.ssl_server_credentials([tls], client_ca, client_ca is not None)
            self._grpc_port = self._grpc.add_secure_port(f"127.0.0.1:{grpc_port}", credentials)
        else:
            self._grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{grpc_port}")
        self._http = _HttpServer(self, http_port, _tls_context(tls, client_ca) if tls else None)
        self._http_thread = Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> OtlpReceiver:
        self._grpc.start()
        self._http_thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; calls that hang end."""
        self._closing.set()
        self._grpc.stop(0).wait()
        self._http.shutdown()
        self._http_thread.join()
        self._http.server_close()

    @property
    def grpc_endpoint(self) -> str:
        return f"{self._scheme}://localhost:{self._grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """The base, for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"{self._scheme}://localhost:{self._http.server_address[1]}"

    def requests(self, signal: str = "", accepted: bool | None = None, start: int = 0) -> list[Request]:
        """Return the requests so far but the first `start`, refused ones too unless `accepted` says which."""
        with self._changed:
            return [
                request
                for request in self._requests[start:]
                if signal in ("", request.signal) and accepted in (None, request.accepted)
            ]

    def spans(self) -> list[ReceivedSpan]:
        """Return the spans of all accepted requests, in the order in which they came."""
        return [span for request in self.requests(TRACES, True) for span in decode_spans(request.body)]

    def metrics(self, name: str = "") -> list[ReceivedMetric]:
        """Return the metrics of all accepted requests; with `name`, those of that name."""
        wanted = (request.body for request in self.requests(METRICS, True) if name.encode() in request.body)
        found = (metric for body in wanted for metric in decode_metrics(body))
        return [metric for metric in found if name in ("", metric.name)]

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._changed:
            self._requests.clear()

    def wait_for(self, predicate: Callable[[], T], timeout: float = 60.0) -> T:
        """Return what `predicate` gives once it is true; AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                before = len(self._requests)
            value = predicate()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                spans = [span.name for span in self.spans()][-20:]
                raise AssertionError(
                    f"not within {timeout} s; {len(self.requests())} requests, last spans: {spans}"
                )
            with self._changed:
                if len(self._requests) == before:
                    self._changed.wait(min(left, 0.25))

    def take(self, signal: str, transport: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Note a request and return how to answer it; called by the servers."""
        with self._changed:
            answer = self.answers.popleft() if self.answers else self.answer
            self.bytes_received += len(body)
            if self._keep:
                request = Request(signal, transport, body, headers, answer.accepts, time.monotonic())
                self._requests.append(request)
            self._changed.notify_all()
        if answer.hang:
            self._closing.wait(answer.hang)
        return answer


def response_body(signal: str, answer: Answer) -> bytes:
    """Return the protobuf response that `answer` asks for."""
    if answer.body is not None:
        return answer.body
    response: Any = ExportTraceServiceResponse() if signal == TRACES else ExportMetricsServiceResponse()
    if answer.rejected or answer.message:
        response.partial_success.error_message = answer.message
        setattr(
            response.partial_success,
            "rejected_spans" if signal == TRACES else "rejected_data_points",
            answer.rejected,
        )
    return bytes(response.SerializeToString())


_GRPC_OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0))


class _GrpcHandler(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Both services, without decoding: bytes in, bytes out."""

    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        signal = _METHODS.get(details.method)
        if signal is None:
            return None

        def call(body: bytes, context: grpc.ServicerContext) -> bytes:
            headers = {key: str(value) for key, value in context.invocation_metadata()}
            answer = self._receiver.take(signal, "grpc", body, headers)
            if answer.grpc != "OK":
                if answer.retry_delay is not None:
                    context.set_trailing_metadata((("grpc-status-details-bin", _retry_info(answer)),))
                context.abort(grpc.StatusCode[answer.grpc], answer.message)
            return response_body(signal, answer)

        return grpc.unary_unary_rpc_method_handler(call)


def _retry_info(answer: Answer) -> bytes:
    delay = Duration()
    delay.FromNanoseconds(int((answer.retry_delay or 0) * 1e9))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=delay))
    code = grpc.StatusCode[answer.grpc].value[0]
    return bytes(Status(code=code, message=answer.message, details=[detail]).SerializeToString())


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, receiver: OtlpReceiver, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), _HttpHandler)
        self.receiver = receiver
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake on the connection's own thread."""
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        with request:
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that goes away is what the tests are about."""


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        encoding = self.headers.get("Content-Encoding", "")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "deflate":
            body = zlib.decompress(body)
        signal = self.path.rpartition("/")[2]
        if signal not in (TRACES, METRICS):
            self._reply(404, b"not found", "text/plain", ())
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.receiver.take(signal, "http", body, headers)
        extra = answer.headers
        if answer.retry_delay is not None:
            extra = (*extra, ("Retry-After", str(int(answer.retry_delay))))
        if answer.http >= 300 and answer.body is None:
            body = bytes(Status(message=answer.message).SerializeToString())
        else:
            body = response_body(signal, answer)
        self._reply(answer.http, body, "application/x-protobuf", extra)

    def _reply(self, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]]) -> None:
        self.send_response(status)
        given = {"content-type": content_type, "content-length": str(len(body))}
        given.update({name.lower(): value for name, value in headers})
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def _tls_context(tls: tuple[bytes, bytes], client_ca: bytes | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as file:
        file.write(tls[0] + b"\n" + tls[1])
        file.flush()
        context.load_cert_chain(file.name)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca.decode())
    return context


def attribute_value(value: Any) -> Any:
    """Return an AnyValue as a Python value; lists for arrays."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [attribute_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def attributes_of(pairs: Iterable[Any]) -> Attributes:
    return {pair.key: attribute_value(pair.value) for pair in pairs}


def decode_spans(body: bytes) -> list[ReceivedSpan]:
    """Decode an ExportTraceServiceRequest. Raises DecodeError."""
    return [
        ReceivedSpan(
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code,
            span.flags,
            span.trace_state,
            attributes_of(span.attributes),
            resource,
            scope_spans.scope.name,
        )
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans
        for resource in (attributes_of(resource_spans.resource.attributes),)
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def decode_metrics(body: bytes) -> list[ReceivedMetric]:
    """Decode an ExportMetricsServiceRequest. Raises DecodeError."""
    return [
        _metric(metric, resource)
        for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for resource in (attributes_of(resource_metrics.resource.attributes),)
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    ]


def _metric(metric: Any, resource: Attributes) -> ReceivedMetric:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    return ReceivedMetric(
        metric.name,
        metric.unit,
        metric.description,
        kind,
        getattr(data, "aggregation_temporality", 0),
        getattr(data, "is_monotonic", False),
        resource,
        [
            _histogram_point(point) if kind == "histogram" else _number_point(point)
            for point in data.data_points
        ],
    )


def _number_point(point: Any) -> Point:
    value = getattr(point, point.WhichOneof("value") or "as_int")
    return Point(attributes_of(point.attributes), point.start_time_unix_nano, point.time_unix_nano, value)


def _histogram_point(point: Any) -> Point:
    return Point(
        attributes_of(point.attributes),
        point.start_time_unix_nano,
        point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        bounds=tuple(point.explicit_bounds),
        buckets=tuple(point.bucket_counts),
        min=point.min,
        max=point.max,
    )


def main() -> None:
    """Count bytes until end of input."""
    ports = [int(word) for word in sys.argv[1:3]] or [0, 0]
    with OtlpReceiver(keep=False, grpc_port=ports[0], http_port=ports[1]) as receiver:
        print(receiver.grpc_endpoint, receiver.http_endpoint, flush=True)
        sys.stdin.read()
        print(receiver.bytes_received, flush=True)


if __name__ == "__main__":
    main()
