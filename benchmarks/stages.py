"""The user-space way stage by stage: each takes a whole batch before the next one begins."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from benchmarks.paused import PausedAgent
from otel_ebpf.export.exporters import exporter_for
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.outcome import Signal, Verdict
from otel_ebpf.export.queue import SpanQueue
from otel_ebpf.export.settings import ExportSettings
from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.ledger import Ledger
from otel_ebpf.kernel.reader import Reader
from otel_ebpf.kernel.records import Exchange, Kind
from otel_ebpf.kernel.ring_buffer import RingBuffer
from otel_ebpf.signals.span import Span

STAGES = ("ring buffer", "decode", "identity", "protocol", "signals", "encode", "queue", "batch", "send")


class Stopwatch:
    """CPU seconds by stage: of this thread, or of the process where a stage has threads of its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        clock = time.process_time if stage == "send" else time.thread_time
        started = clock()
        try:
            yield
        finally:
            self.seconds[stage] += clock() - started


class TimedRing:
    """A ring buffer whose reads are timed."""

    def __init__(self, ring: RingBuffer, watch: Stopwatch) -> None:
        self._ring = ring
        self._watch = watch

    def read(self, limit: int) -> tuple[bytes, list[tuple[int, int]]]:
        with self._watch.measure("ring buffer"):
            return self._ring.read(limit)


class StagedDrain:
    """Takes what waits in a paused agent's ring buffer through its own stages, one after the other.

    `spans` is where that agent's signals stage puts its spans.
    """

    def __init__(self, agent: PausedAgent, spans: list[Span], settings: ExportSettings) -> None:
        self.watch = Stopwatch()
        self.number = 0
        self._agent = agent
        self._spans = spans
        ring = cast(RingBuffer, TimedRing(agent._ring, self.watch))
        self._reader = Reader(ring, agent._shard, agent._likenesses)
        self._queue = SpanQueue(settings.queue, Ledger().shard())
        self._exporter = exporter_for(Signal.TRACES, settings.traces_otlp)

    def run(self) -> dict[str, float]:
        """Return microseconds a span, by stage."""
        # The agent frees each record before the next. Here a batch of them stays, which the collector
        # would look through again and again.
        gc.collect()
        gc.disable()
        while self._batch():
            pass
        gc.enable()
        self._exporter.close()
        # Reader.read is the ring buffer's read and the decoding.
        self.watch.seconds["decode"] -= self.watch.seconds["ring buffer"]
        return {stage: self.watch.seconds[stage] / self.number * 1e6 for stage in STAGES}

    def _batch(self) -> int:
        agent, measure = self._agent, self.watch.measure
        with measure("decode"):
            records, alike = self._reader.read()
        exchanges = [one for one in records if isinstance(one, Exchange) and one.kind == Kind.EXCHANGE]
        with measure("identity"):
            admitted = agent._services.admitted
            known = [(one, service) for one in exchanges if (service := admitted(one.vantage)) is not None]
        with measure("protocol"):
            parse = agent._protocols.exchange
            calls = [(call, service) for one, service in known if (call := parse(one)) is not None]
        with measure("signals"):
            take = agent._signals.call
            for call, service in calls:
                take(call, service)
            agent._signals.again(alike)
        self.number += len(self._spans)
        with measure("encode"):
            encoded = [(span.template.service, encode_span(span)) for span in self._spans]
        self._spans.clear()
        self._export(encoded)
        return len(records) + len(alike)

    def _export(self, encoded: list[tuple[Service, bytes]]) -> None:
        measure, queue = self.watch.measure, self._queue
        with measure("queue"):
            put = queue.put
            for service, data in encoded:
                put(service, data)
        while True:
            with measure("batch"):
                batch = queue.take(False)
            if batch is None:
                return
            with measure("send"):
                outcome = self._exporter.send(batch.body, 10.0)
            queue.release(batch)
            assert outcome.verdict is Verdict.ACCEPTED, outcome.message
