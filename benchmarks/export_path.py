"""CPU time of the export stage: microseconds a span, from a `Span` to bytes on a real connection.

`python -m benchmarks.export_path [--spans N] [--batch N] [--json]`, for work on the exporter; what
`make bench` measures is benchmarks/user_space.py. The receiver is another process,
which counts bytes and decodes nothing. Process CPU time of all threads, so that gRPC's own count.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.tracing import counting_receiver
from otel_ebpf.export.books import SPANS
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.pipeline import Pipeline, build
from otel_ebpf.export.queue import SpanQueue
from otel_ebpf.export.request import encode_request
from otel_ebpf.export.settings import ExportSettings, OtlpSettings, QueueSettings
from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.ledger import Ledger, Shard
from otel_ebpf.signals.span import Span, SpanKind

BUDGETS = {"encode_span": 2.5, "queue.put": 0.4, "encode_request": 0.4}


def memory() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def make_spans(number: int, services: int = 8) -> list[Span]:
    """Server spans as the HTTP stage makes them: blocks that repeat are the same objects."""
    shops = [
        Service(
            at,
            f"shop-{at}",
            "python",
            (("service.name", f"shop-{at}"), ("process.pid", at), ("host.name", "h")),
        )
        for at in range(services)
    ]
    commons = [_common(at) for at in range(32)]
    return [_span(at, shops[at * 7 % services], commons[at % 32]) for at in range(number)]


def _common(at: int) -> Attributes:
    return (
        ("http.request.method", "GET"),
        ("http.route", f"/api/v{at}/users/{{id}}"),
        ("http.response.status_code", 200),
        ("url.scheme", "http"),
        ("server.address", "shop.example"),
        ("server.port", 8080),
        ("network.protocol.version", "1.1"),
    )


def _span(at: int, service: Service, common: Attributes) -> Span:
    return Span(
        service=service,
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        parent_span_id=os.urandom(8) if at % 2 else b"",
        trace_flags=1,
        parent_is_remote=bool(at % 2),
        kind=SpanKind.SERVER,
        name=f"GET /api/v{at % 32}/users/{{id}}",
        start=1_700_000_000_000_000_000 + at * 1000,
        end=1_700_000_000_001_500_000 + at * 1000,
        common=common,
        specific=(
            ("url.path", f"/api/v{at % 32}/users/{at}"),
            ("client.address", "10.0.0.17"),
            ("network.peer.address", "10.0.0.17"),
            ("network.peer.port", 30_000 + at % 20_000),
            ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
        ),
        error=False,
    )


def cpu(action: Callable[[], object], spans: int, repeat: int = 15) -> float:
    """The best of `repeat` runs, in microseconds a span."""
    best = float("inf")
    for _ in range(repeat):
        started = time.process_time()
        action()
        best = min(best, time.process_time() - started)
    return best / spans * 1e6


def stages(batch: int) -> dict[str, float]:
    """Measure the steps alone; few spans in turn, for in the agent each is encoded as it is made."""
    spans = make_spans(256)

    def encode() -> None:
        for span in spans:
            encode_span(span)

    figures = {"encode_span": cpu(encode, len(spans), 300)}
    encoded = [(span.service, encode_span(span)) for span in make_spans(batch)]
    queue = SpanQueue(QueueSettings(spans=10**9, size=10**12), Shard())

    def put() -> None:
        for service, data in encoded:
            queue.put(service, data)

    figures["queue.put"] = cpu(put, batch)
    figures["encode_request"] = cpu(lambda: encode_request(encoded), batch)
    figures["bytes_per_span"] = len(encode_request(encoded)) / batch
    return figures


def through(pipeline: Pipeline, ledger: Ledger, spans: list[Span], rounds: int) -> float:
    """Emit all spans `rounds` times, wait until they are accepted, and return the CPU time used."""
    expected = ledger.totals()[SPANS.seen] + len(spans) * rounds
    started = time.process_time()
    for _ in range(rounds):
        for span in spans:
            pipeline.emit(span)
        while ledger.totals()[SPANS.in_flight] > 2 * len(spans):
            time.sleep(0.005)
    while ledger.totals()[SPANS.passed] < expected:
        time.sleep(0.005)
    return time.process_time() - started


def end_to_end(total: int, batch: int) -> dict[str, float]:
    """Send `total` spans for real over gRPC and return CPU a span, spans a second, and memory."""
    with counting_receiver() as receiver:
        ledger = Ledger()
        settings = ExportSettings(
            traces=("otlp",),
            traces_otlp=OtlpSettings(receiver.endpoint, "grpc"),
            queue=QueueSettings(batch=batch, delay=0.05),
        )
        pipeline = build(settings, ledger.shard)
        loaded = memory()
        pipeline.start()
        spans = make_spans(batch)
        through(pipeline, ledger, spans, 2)
        started = time.perf_counter()
        rounds = max(1, total // batch)
        spent = through(pipeline, ledger, spans, rounds)
        elapsed = time.perf_counter() - started
        pipeline.stop()
        totals = ledger.totals()
        assert totals[SPANS.passed] == totals[SPANS.seen]
    sent = rounds * batch
    assert receiver.received > sent * 100
    return {
        "cpu_us_per_span": spent / sent * 1e6,
        "spans_per_second": sent / elapsed,
        "memory_mb_loaded": loaded,
        "memory_mb_after": memory(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=400_000)
    parser.add_argument("--batch", type=int, default=QueueSettings().batch)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = {
        "memory_mb_start": memory(),
        **end_to_end(arguments.spans, arguments.batch),
        **stages(arguments.batch),
    }
    if arguments.json:
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))
        return
    for name, value in figures.items():
        budget = f"  (budget {BUDGETS[name]})" if name in BUDGETS else ""
        print(f"{name:20} {value:12.2f}{budget}")


if __name__ == "__main__":
    main()
