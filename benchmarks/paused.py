"""The agent in this process, with its reading held back: a real ring buffer, full of real records."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Timer
from typing import Any

import msgspec

from benchmarks.load import CONNECTIONS, finish_wrk, start_wrk, warm
from benchmarks.servers import Server
from otel_ebpf.agent import Agent
from otel_ebpf.config import Config
from otel_ebpf.environment import read_environment
from otel_ebpf.export.pipeline import Pipeline, build
from otel_ebpf.export.settings import ExportSettings, settings_from
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.signals.span import Span

RING_BYTES = 128 << 20
_MEET_SECONDS = 0.8
_QUEUE_MAX = 40_000  # of 65,536: the queue is for bursts, and here there is nothing but burst
_POLL = 0.002
_FILL_SECONDS, _EXPORT_SECONDS = 20, 30


class PausedAgent(Agent):
    """An agent that reads only while it is told to."""

    def run_for(self, seconds: float) -> None:
        """Run as usual for a while."""
        self.stopping = False
        timer = Timer(seconds, setattr, (self, "stopping", True))
        timer.start()
        self.run()
        timer.join()

    def fill(self, server: Server, size: int, script: str) -> None:
        """Let `size` bytes of a server's exchanges gather; wrk is met first, and so not captured."""
        warm(server.port)
        process = start_wrk(server.port, _FILL_SECONDS, script=script)
        try:
            self.run_for(_MEET_SECONDS)
            _wait_for(lambda: self._ring.pending() >= size or process.poll() is not None, _FILL_SECONDS)
        finally:
            process.send_signal(signal.SIGINT)  # ends it early, with its report
            finish_wrk(process, 1)

    def drain(self) -> int:
        """Take everything that waits to its encoded span, as `run` does but without pauses; records."""
        counts = self._shard.counts
        seen = counts[Entry.READER_EXCHANGE]
        while self._take_batch():
            self._wait_in_flight(_QUEUE_MAX)
        return counts[Entry.READER_EXCHANGE] - seen

    def wait_exported(self) -> None:
        """Wait until the backend has accepted every span."""
        self._wait_in_flight(0)

    def _wait_in_flight(self, most: int) -> None:
        _wait_for(lambda: self.ledger.totals()[Entry.EXPORT_IN_FLIGHT] <= most, _EXPORT_SECONDS)


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(_POLL)


def export_settings(endpoint: str) -> ExportSettings:
    """Return what the standard variables make of an endpoint for gRPC; the last batch leaves soon."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
    return settings_from(read_environment(variables), variables)


@contextmanager
def paused_agent(
    endpoint: str,
    executable: str,
    take: Callable[[Span], None] | None = None,
    make: Callable[..., PausedAgent] = PausedAgent,
) -> Iterator[PausedAgent]:
    """Start an agent for one program; with `take`, spans go there instead of to the backend."""

    def pipeline(ledger: Ledger) -> Pipeline:
        made = build(export_settings(endpoint), ledger.shard)
        if take is not None:
            made.emit = take
        return made

    agent = make(_config(executable), read_environment(os.environ), pipeline)
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()


def _config(executable: str) -> Config:
    given: Mapping[str, Any] = {
        "discovery": {"include": [{"executable": executable}]},
        "capture": {"ring_bytes": RING_BYTES, "connections": max(CONNECTIONS * 64, 4096)},
        "telemetry": {"status_socket": "", "metrics": False},
    }
    return msgspec.convert(given, Config)
