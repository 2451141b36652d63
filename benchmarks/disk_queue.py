"""The queue on disk: what it costs while it is not used, what a span takes there, how fast it is emptied.

    python -m benchmarks.disk_queue [--rounds N] [--seconds S] [--quick]

The spans are real: those of `--seconds` times 24 MiB of records of requests with long heads to nginx
(`benchmarks.user_space`). Each round sends them from the span to a backend that counts bytes, by gRPC,
without the queue, with it, and without it once more for control; then to a backend that is away; then
another pipeline takes what that left on disk to the backend. CPU time is the process's own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import options
from benchmarks.load import warm
from benchmarks.paused import export_settings, paused_agent
from benchmarks.results import Check, Result, publish
from benchmarks.servers import LOAD_CPU, nginx
from benchmarks.tracing import counting_receiver
from benchmarks.user_space import REQUESTS
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.pipeline import Pipeline, build
from otel_ebpf.export.settings import DiskSettings
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.signals.span import Span

_SIZE = 24 << 20
_ROOM = 8_000
"""Spans that may be in flight: so few that memory is not half full, from when on they go to disk."""
_AWAY = "http://127.0.0.1:1"
_OPENING_SECONDS = 0.5
_LIMIT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Taken:
    """Microseconds of CPU time a span, and spans a second."""

    microseconds: float
    rate: float


class Way:
    """A way out with books of its own, to `endpoint`, with a queue in `folder` if there is one."""

    def __init__(self, endpoint: str, folder: Path | None) -> None:
        self._ledger = Ledger()
        disk = DiskSettings(str(folder), 1 << 30, 86400.0) if folder else None
        self.pipeline: Pipeline = build(replace(export_settings(endpoint), disk=disk), self._ledger.shard)

    def take(self, spans: Sequence[Span], until: Entry) -> Taken:
        """Emit `spans`; with none, wait for what is on disk. Until all are counted under `until`."""
        if spans:
            self.pipeline.start()
            time.sleep(_OPENING_SECONDS)
        began, used = time.perf_counter(), time.process_time()
        if not spans:
            self.pipeline.start()
        for number, span in enumerate(spans):
            if number % 1000 == 0:
                self._wait(lambda: self._count(Entry.EXPORT_IN_FLIGHT) <= _ROOM)
            self.pipeline.emit(span)
        due = len(spans) or self._recovered()
        self._wait(lambda: self._count(until) >= due)
        used, took = time.process_time() - used, time.perf_counter() - began
        return Taken(used / due * 1e6, due / took)

    def _count(self, entry: Entry) -> int:
        return self._ledger.totals()[entry]

    def _recovered(self) -> int:
        self._wait(lambda: self._count(Entry.EXPORT_RECOVERED))
        return self._count(Entry.EXPORT_RECOVERED)

    def _wait(self, condition: object) -> None:
        assert callable(condition)
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)


def real_spans(seconds: int) -> list[Span]:
    spans: list[Span] = []
    with (
        counting_receiver(LOAD_CPU) as receiver,
        nginx() as server,
        paused_agent(receiver.endpoint, "nginx", spans.append) as agent,
    ):
        warm(server.port)
        agent.fill(server, seconds * _SIZE, REQUESTS["browser"])
        agent.drain()
    return spans


def through(endpoint: str, spans: Sequence[Span], until: Entry, folder: Path | None = None) -> Taken:
    way = Way(endpoint, folder)
    try:
        return way.take(spans, until)
    finally:
        way.pipeline.stop(10.0)


def main() -> None:
    chosen = options.parse(__doc__, rounds=3, seconds=1)
    spans = real_spans(chosen.seconds)
    found: dict[str, list[Taken]] = {
        name: [] for name in ("without", "with", "control", "written", "drained")
    }
    sizes = []
    for _ in range(chosen.rounds):
        with counting_receiver(LOAD_CPU) as receiver, TemporaryDirectory() as name:
            folder, end = Path(name) / "queue", receiver.endpoint
            through(end, spans, Entry.EXPORT_PASSED)  # the receiver's first requests take longer
            found["without"].append(through(end, spans, Entry.EXPORT_PASSED))
            found["with"].append(through(end, spans, Entry.EXPORT_PASSED, folder))
            found["control"].append(through(end, spans, Entry.EXPORT_PASSED))
            found["written"].append(through(_AWAY, spans, Entry.EXPORT_ON_DISK, folder))
            sizes.append(sum(path.stat().st_size for path in folder.iterdir()) / len(spans))
            found["drained"].append(through(end, [], Entry.EXPORT_PASSED, folder))
    publish(Result("disk_queue", _checks(spans, found, sizes), samples=_samples(found)), chosen.folder)


def _checks(spans: Sequence[Span], found: dict[str, list[Taken]], sizes: list[float]) -> list[Check]:
    def used(name: str) -> float:
        return median(one.microseconds for one in found[name])

    def rate(name: str) -> float:
        return median(one.rate for one in found[name])

    encoded = sum(len(encode_span(span)) for span in spans) / len(spans)
    control = used("control") / used("without")
    return [
        Check(
            "unused, CPU time from span to backend, with to without",
            used("with") / used("without"),
            "",
            control=control,
        ),
        Check("without, CPU time from span to backend", used("without"), "us/span"),
        Check("backend away, CPU time from span to disk", used("written"), "us/span"),
        Check("emptied, CPU time from disk to backend", used("drained"), "us/span"),
        Check("emptied, rate", rate("drained"), "spans/s"),
        Check("encoded span", encoded, "B"),
        Check("on disk, its file and log", median(sizes), "B/span"),
    ]


def _samples(found: dict[str, list[Taken]]) -> dict[str, list[dict[str, float]]]:
    return {name: [asdict(one) for one in taken] for name, taken in found.items()}


if __name__ == "__main__":
    main()
