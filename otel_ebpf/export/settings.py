"""What the export stage needs to know, with its defaults.

Built from the agent's environment and configuration; `from_variables` reads the standard variables
and is the reference for which variable means what.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["ConfigurationError", "ExportSettings", "OtlpSettings", "QueueSettings", "from_variables"]

PROTOCOLS: Final = ("grpc", "http/protobuf")
EXPORTERS: Final = ("otlp", "console", "none")


class ConfigurationError(ValueError):
    """A setting of the export stage that cannot be used; the text says which values can."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Bounds of the queue of spans: defaults for the agent of a whole host, not for one process.

    OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE and OTEL_BSP_SCHEDULE_DELAY override
    the first three; their own defaults (2,048, 512, 5,000 ms) are made for a single application.
    """

    spans: int = 65_536
    batch: int = 4_096
    delay: float = 1.0
    """Seconds for which a span waits for its batch to fill; twice that when a burst ends."""
    size: int = 24 << 20
    """Bytes of encoded spans, the requests being sent included."""
    request_size: int = 3 << 20
    """Bytes of one request: gRPC servers refuse messages over 4 MiB unless told otherwise."""
    age: float = 300.0
    """Seconds for which a batch is retried, counted from its oldest span."""


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """How one signal is sent. `variables` is what the stock exporter reads: endpoint, headers, TLS."""

    protocol: str = "grpc"
    timeout: float = 10.0
    """Seconds for one attempt."""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Which exporters each signal goes to (`otlp`, `console`; empty for none), and how."""

    traces: tuple[str, ...] = ("console",)
    metrics: tuple[str, ...] = ()
    traces_otlp: OtlpSettings = field(default_factory=OtlpSettings)
    metrics_otlp: OtlpSettings = field(default_factory=OtlpSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)


def from_variables(variables: Mapping[str, str], console: bool = False) -> ExportSettings:
    """Read the standard variables. `console` adds the console to what they say.

    Without an endpoint and without OTEL_TRACES_EXPORTER, traces go to the console and metrics
    nowhere. The protocol is gRPC unless said otherwise, as in the stock Python exporter (the
    specification prefers, and does not require, http/protobuf). Timeouts are milliseconds, as the
    specification has them; the stock Python exporter would read seconds.

    Raises ConfigurationError for an unknown exporter or protocol, or a number that is none.
    """
    known = {name: value.strip() for name, value in variables.items() if value.strip()}
    default = QueueSettings()
    queue = QueueSettings(
        spans=int(_number(known, "OTEL_BSP_MAX_QUEUE_SIZE", default.spans)),
        batch=int(_number(known, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default.batch)),
        delay=_number(known, "OTEL_BSP_SCHEDULE_DELAY", default.delay * 1000) / 1000,
    )
    traces = _exporters(known, "TRACES", "console")
    if console and "console" not in traces:
        traces = (*traces, "console")
    return ExportSettings(
        traces, _exporters(known, "METRICS", ""), _otlp(known, "TRACES"), _otlp(known, "METRICS"), queue
    )


def _exporters(variables: Mapping[str, str], signal: str, without_endpoint: str) -> tuple[str, ...]:
    name = f"OTEL_{signal}_EXPORTER"
    text = variables.get(name)
    if text is None:
        endpoint = variables.get(
            f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", variables.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        )
        text = "otlp" if endpoint else without_endpoint
    names = tuple(dict.fromkeys(part for part in (part.strip().lower() for part in text.split(",")) if part))
    for part in names:
        if part not in EXPORTERS:
            raise ConfigurationError(f"{name}: {part!r} is not an exporter; allowed: {', '.join(EXPORTERS)}")
    if "none" in names and len(names) > 1:
        raise ConfigurationError(f"{name}: 'none' stands alone, not in a list")
    return tuple(part for part in names if part != "none")


def _otlp(variables: Mapping[str, str], signal: str) -> OtlpSettings:
    general, own = "OTEL_EXPORTER_OTLP_PROTOCOL", f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    name = own if own in variables else general
    protocol = variables.get(name, "grpc").lower()
    if protocol not in PROTOCOLS:
        raise ConfigurationError(f"{name}: {protocol!r} is not supported; allowed: {', '.join(PROTOCOLS)}")
    own = f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT"
    name = own if own in variables else "OTEL_EXPORTER_OTLP_TIMEOUT"
    return OtlpSettings(protocol, _number(variables, name, 10_000) / 1000, variables)


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 1 <= number < math.inf:
        raise ConfigurationError(f"{name}: {text!r} is not a number of at least 1")
    return number
