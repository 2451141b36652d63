"""The exporter of spans for a protocol."""

from __future__ import annotations

from otel_ebpf.export.outcome import Exporter, Signal
from otel_ebpf.export.settings import OtlpSettings

__all__ = ["exporter_for", "span_exporter"]


def exporter_for(signal: Signal, settings: OtlpSettings) -> Exporter:
    """Return the exporter for `signal`; only the library of its protocol is loaded.

    Raises ConfigurationError.
    """
    if settings.protocol == "grpc":
        from otel_ebpf.export.grpc_exporter import grpc_exporter  # noqa: PLC0415 (30 MB)

        return grpc_exporter(signal, settings)
    from otel_ebpf.export.http_exporter import http_exporter  # noqa: PLC0415 (25 MB)

    return http_exporter(signal, settings)


def span_exporter(settings: OtlpSettings) -> Exporter:
    """Return the exporter of spans. Raises ConfigurationError."""
    return exporter_for(Signal.TRACES, settings)
