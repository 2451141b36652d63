"""The export stage as one object: spans and metrics go in, and leave by what is configured."""

from __future__ import annotations

from collections.abc import Callable
from logging import ERROR, INFO, getLogger
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from otel_ebpf.export.books import POINTS, SPANS, Books
from otel_ebpf.export.console import ConsoleExporter
from otel_ebpf.export.exporters import exporter_for
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.outcome import Signal
from otel_ebpf.export.own import Level
from otel_ebpf.export.queue import Source, SpanQueue
from otel_ebpf.export.sender import Sender
from otel_ebpf.export.settings import ConfigurationError, DiskSettings, ExportSettings, OtlpSettings
from otel_ebpf.export.throttle import Throttle
from otel_ebpf.health import Pulse
from otel_ebpf.kernel.ledger import Shard
from otel_ebpf.signals.span import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

    from otel_ebpf.export.disk import DiskQueue
    from otel_ebpf.export.disk_directory import QueueDirectory

__all__ = ["STOP_SECONDS", "Pipeline", "build"]

logger = getLogger(__name__)

STOP_SECONDS: Final = 1.2
"""What a stop may take: the agent has 2 s to leave, and its probes have to be detached in them."""

WRITE_SECONDS: Final = 0.3
"""What of it is left to write to disk what was not sent."""

SHOW_SECONDS: Final = 0.2
"""What the console may take beyond that to write its summary."""

Emit = Callable[[Span], None]


class Console(Protocol):
    """What writes to the terminal."""

    def start(self) -> None:
        """Start writing."""

    def stop(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds."""


class Pipeline:
    """Made by `build`.

    `emit(span)` is for one thread and never blocks or raises; `metrics(data)` is for any. Stop the
    threads that call them before `stop`: what still comes is counted as lost to the shutdown.
    `wants_spans` and `wants_metrics` tell the stages before whether there is any sense in making them.
    """

    def __init__(self, settings: ExportSettings, shard_factory: Callable[[], Shard]) -> None:
        self._settings = settings
        self._new_shard = shard_factory
        self._senders: list[Sender] = []
        self._directory: QueueDirectory | None = None
        self._disks: list[DiskQueue] = []
        self._consoles: list[Console] = []
        self._emitters: list[Emit] = []
        self._takers: list[Callable[[MetricsData], None]] = []
        self.emit: Emit = _nowhere
        self.wants_spans = bool(settings.traces)
        self.wants_metrics = bool(settings.metrics)

    def metrics(self, data: MetricsData) -> None:
        """Send the metrics of an interval. Never blocks or raises."""
        for take in self._takers:
            take(data)

    def pulses(self) -> list[Pulse]:
        """Return those of the threads that send."""
        return [sender.pulse for sender in self._senders]

    def queues(self) -> dict[str, Level]:
        """Return how full each queue is, by what waits in it. Any thread."""
        return {sender.unit: sender.level() for sender in self._senders}

    def start(self) -> None:
        """Start the threads."""
        for console in self._consoles:
            console.start()
        for disk in self._disks:
            disk.start()
        for sender in self._senders:
            sender.start()

    def stop(self, deadline_seconds: float = STOP_SECONDS) -> None:
        """Send what can be sent within `deadline_seconds` and count the rest; call it once."""
        deadline = monotonic() + deadline_seconds
        for sender in self._senders:
            sender.ask_to_stop(deadline - WRITE_SECONDS if self._disks else deadline)
        for sender in self._senders:
            sender.stop()
        if self._directory is not None:
            self._directory.release()
        for console in self._consoles:
            console.stop(max(SHOW_SECONDS, deadline - monotonic()))

    def add_sender(self, source: Source, signal: Signal, settings: OtlpSettings, books: Books) -> None:
        """Make the thread that sends what `source` has. Raises ConfigurationError."""
        exporter = exporter_for(signal, settings)
        queue = self._settings.queue
        shard = self._new_shard()
        if self._settings.disk is not None:
            source = self._on_disk(source, signal, self._settings.disk, books)
        self._senders.append(
            Sender(source, exporter, books, shard, delay=queue.delay, timeout=settings.timeout, age=queue.age)
        )
        logger.log(INFO, "%s go to %s", books.unit, exporter.target)

    def _on_disk(self, source: Source, signal: Signal, settings: DiskSettings, books: Books) -> DiskQueue:
        """Return `source` with the queue on disk before it; its library is loaded only if there is one."""
        try:
            from otel_ebpf.export.disk import DiskQueue  # noqa: PLC0415
            from otel_ebpf.export.disk_directory import QueueDirectory  # noqa: PLC0415
            from otel_ebpf.export.disk_file import DiskFile  # noqa: PLC0415
        except ImportError as problem:
            raise ConfigurationError(
                f"export.disk_queue: this Python is without SQLite: {problem}"
            ) from problem
        self._directory = self._directory or QueueDirectory(settings.directory)
        name, shard = signal.value, self._new_shard()
        file = DiskFile(self._directory, name, settings, self._settings.queue, books=books, shard=shard)
        self._disks.append(DiskQueue(source, file))
        return self._disks[-1]

    def add_spans(self, stream: TextIO | None) -> None:
        """Make the ways out that spans have."""
        shard = self._new_shard()
        if "otlp" in self._settings.traces:
            queue = SpanQueue(self._settings.queue, shard)
            self.add_sender(queue, Signal.TRACES, self._settings.traces_otlp, SPANS)
            self._emitters.append(_encoder(queue, shard))
        if "console" in self._settings.traces:
            console = ConsoleExporter(stream)
            self._consoles.append(console)
            shown = console.emit
            # The books have each span once: with a backend, it is the backend's that count.
            self._emitters.append(shown if self._emitters else _counted(shown, shard))
        if len(self._emitters) == 1:
            self.emit = self._emitters[0]
        elif self._emitters:
            self.emit = self._emit_to_all

    def _emit_to_all(self, span: Span) -> None:
        for emit in self._emitters:
            emit(span)

    def add_metrics(self, stream: TextIO | None) -> None:
        """Make the ways out that metrics have; their library is loaded only if there is one."""
        if "otlp" in self._settings.metrics:
            from otel_ebpf.export.metrics import MetricQueue  # noqa: PLC0415 (4 MB)

            queue = MetricQueue(self._settings.queue.request_size, self._new_shard())
            self.add_sender(queue, Signal.METRICS, self._settings.metrics_otlp, POINTS)
            self._takers.append(queue.put)
        if "console" in self._settings.metrics:
            from otel_ebpf.export.metrics_console import MetricsConsole  # noqa: PLC0415

            console = MetricsConsole(stream, None if self._takers else self._new_shard())
            self._consoles.append(console)
            self._takers.append(console.show)


def build(
    settings: ExportSettings, shard_factory: Callable[[], Shard], stream: TextIO | None = None
) -> Pipeline:
    """Return the pipeline for `settings`; `shard_factory` is `Ledger.shard`.

    `stream` is where the console writes: standard output unless given. Raises ConfigurationError.
    """
    pipeline = Pipeline(settings, shard_factory)
    pipeline.add_spans(stream)
    pipeline.add_metrics(stream)
    return pipeline


def _nowhere(span: Span) -> None:
    """Where spans go with OTEL_TRACES_EXPORTER=none; see `Pipeline.wants_spans`."""


def _encoder(queue: SpanQueue, shard: Shard) -> Emit:
    put = queue.put
    bad = Throttle(logger, ERROR)
    counts = shard.counts

    def emit(span: Span) -> None:
        try:
            encoded = encode_span(span)
        except Exception as problem:  # a span of other types than it declares must not stop the reader
            counts[SPANS.seen] += 1
            counts[SPANS.failed] += 1
            bad.add(1, "%d spans could not be encoded, please report this line: %r", problem)
            return
        put(span.template.service, encoded)

    return emit


def _counted(emit: Emit, shard: Shard) -> Emit:
    counts = shard.counts

    def counting(span: Span) -> None:
        counts[SPANS.seen] += 1
        counts[SPANS.passed] += 1
        emit(span)

    return counting
