"""A server with an OpenTelemetry SDK: each request is a span of its own, exported by OTLP.

sdk_server.py PORT PROTOCOL ENDPOINT      PROTOCOL is http or grpc
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind


def exporter(protocol: str, endpoint: str) -> SpanExporter:
    """Return the SDK's own exporter."""
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc  # noqa: PLC0415

        return Grpc(endpoint, insecure=True)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http  # noqa: PLC0415

    return Http(f"{endpoint}/v1/traces")


provider = TracerProvider(resource=Resource.create({"service.name": "itself"}))
provider.add_span_processor(BatchSpanProcessor(exporter(*sys.argv[2:4]), schedule_delay_millis=100))
tracer = provider.get_tracer("sdk_server")


class Handler(BaseHTTPRequestHandler):
    """Answers everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, within a span."""
        with tracer.start_as_current_span("own span", kind=SpanKind.SERVER):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
