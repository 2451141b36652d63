"""The exporter of a signal for its protocol."""

from __future__ import annotations

import os

from otel_ebpf.export.outcome import Exporter, Signal
from otel_ebpf.export.settings import OtlpSettings

__all__ = ["exporter_for"]


def exporter_for(signal: Signal, settings: OtlpSettings) -> Exporter:
    """Return the exporter for `signal`; only the library of its protocol is loaded.

    Raises ConfigurationError.
    """
    if settings.protocol == "grpc":
        # gRPC's core writes a line of its own for each failed handshake; the sender says it, throttled.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from otel_ebpf.export.grpc_exporter import grpc_exporter  # noqa: PLC0415 (30 MB)

        return grpc_exporter(signal, settings)
    from otel_ebpf.export.http_exporter import http_exporter  # noqa: PLC0415 (25 MB)

    return http_exporter(signal, settings)
