"""Metrics as JSON on standard output, for OTEL_METRICS_EXPORTER=console."""

from __future__ import annotations

from threading import Lock
from typing import TextIO

from opentelemetry.sdk.metrics.export import MetricsData

from otel_ebpf.export.books import POINTS
from otel_ebpf.export.metrics import count_points
from otel_ebpf.export.terminal import Terminal
from otel_ebpf.kernel.ledger import Shard

__all__ = ["MetricsConsole"]


class MetricsConsole:
    """Writes each interval as one line of JSON, in the form of the SDK's own console exporter."""

    def __init__(self, stream: TextIO | None, shard: Shard | None) -> None:
        """`shard` counts what is shown; None when another exporter of the same metrics counts."""
        self._terminal = Terminal(stream)
        self._counts = shard.counts if shard else None
        self._lock = Lock()

    def start(self) -> None:
        """Start writing."""
        self._terminal.start(str)

    def show(self, data: MetricsData) -> None:
        """Write `data`, unless the terminal stands still: then it is counted as lost. Any thread."""
        try:
            written = self._terminal.write(data.to_json(indent=None))
        except (TypeError, ValueError):  # an attribute that JSON cannot say
            written = False
        if self._counts is None:
            return
        points = count_points(data.resource_metrics)
        with self._lock:
            self._counts[POINTS.seen] += points
            self._counts[POINTS.passed if written else POINTS.failed] += points

    def stop(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds."""
        self._terminal.close(timeout)
