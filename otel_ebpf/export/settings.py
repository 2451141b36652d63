"""What the export stage needs to know, with its defaults.

Made from the agent's environment by `settings_from`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_ebpf.environment import Environment, SignalEnvironment

__all__ = [
    "ConfigurationError",
    "DiskSettings",
    "ExportSettings",
    "OtlpSettings",
    "QueueSettings",
    "settings_from",
]


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
    size: int = 16 << 20
    """Bytes of encoded spans, the requests being sent included."""
    request_size: int = 3 << 20
    """Bytes of one request: gRPC servers refuse messages over 4 MiB unless told otherwise."""
    age: float = 300.0
    """Seconds for which a batch is retried, counted from its oldest span."""


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """Bounds of the queue on disk: the configuration's `export.disk_queue`."""

    directory: str
    size: int
    """Bytes, of each signal."""
    age: float
    """Seconds from when it was queued."""


@dataclass(frozen=True)
class OtlpSettings:
    """How one signal is sent."""

    endpoint: str = "http://localhost:4317"
    """For http/protobuf with the signal's path."""
    protocol: str = "grpc"
    """`grpc` or `http/protobuf`."""
    timeout: float = 10.0
    """Seconds for one attempt."""
    compression: str = "none"
    """`gzip` or `none`."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the stock exporters read: headers, certificates and keys, insecure."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Which exporters each signal goes to (`otlp`, `console`; empty for none), and how."""

    traces: tuple[str, ...] = ("console",)
    metrics: tuple[str, ...] = ()
    traces_otlp: OtlpSettings = field(default_factory=OtlpSettings)
    metrics_otlp: OtlpSettings = field(default_factory=OtlpSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    disk: DiskSettings | None = None


def settings_from(
    environment: Environment, variables: Mapping[str, str], console: bool = False
) -> ExportSettings:
    """Return the settings that the standard variables ask for; `console` adds the console to them.

    `variables` is what `environment` was read from: the stock exporters read headers and TLS files
    from it, and it tells whether OTEL_BSP_* was set. With no endpoint anywhere and no exporter
    chosen, spans go to the console and metrics nowhere.
    """
    default = QueueSettings()

    def given(name: str, value: float, otherwise: float) -> float:
        return value if variables.get(name, "").strip() else otherwise

    queue = QueueSettings(
        spans=int(given("OTEL_BSP_MAX_QUEUE_SIZE", environment.bsp_max_queue_size, default.spans)),
        batch=int(
            given("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", environment.bsp_max_export_batch_size, default.batch)
        ),
        delay=given("OTEL_BSP_SCHEDULE_DELAY", environment.bsp_schedule_delay_ms / 1000, default.delay),
    )
    traces = _exporters(environment.traces, () if environment.has_otlp_endpoint else ("console",))
    metrics = _exporters(environment.metrics, ())
    if environment.sdk_disabled:
        traces, metrics = (), ()
    if console and "console" not in traces:
        traces = (*traces, "console")
    return ExportSettings(
        traces, metrics, _otlp(environment.traces, variables), _otlp(environment.metrics, variables), queue
    )


def _exporters(signal: SignalEnvironment, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    if signal.exporters_given:
        return signal.exporters
    return ("otlp",) if signal.endpoint_given else otherwise


def _otlp(signal: SignalEnvironment, variables: Mapping[str, str]) -> OtlpSettings:
    timeout = signal.timeout_ms / 1000 or OtlpSettings.timeout
    return OtlpSettings(signal.endpoint, signal.protocol, timeout, signal.compression, variables)
