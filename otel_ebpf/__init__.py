"""otel-ebpf: zero-code OpenTelemetry auto-instrumentation for Linux."""

__version__ = "0.1.0"
