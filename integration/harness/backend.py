"""An OTLP backend on loopback, asked by port: which spans did this server, these clients, make?"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from integration.harness.limits import slack, wait_until
from integration.harness.measured import MARK_LENGTH
from integration.harness.spans import KINDS, SeenSpan, describe
from tests.otlp_receiver import TRACES, OtlpReceiver, ReceivedMetric, ReceivedSpan, decode_spans

QUIET_SECONDS = 0.5
"""How long to look for spans too many once all that are wanted have come."""

_QUIET_LIMIT = 2.0
"""However slow the machine, `QUIET_SECONDS` is not stretched past this: silence is told after 0.25 s."""

_STATUS_ERROR = 2


class _Asked(NamedTuple):
    """Which spans."""

    mark: str
    kind: int
    port: int | None


class Backend:
    """An `OtlpReceiver` whose spans are decoded once, however often a test asks."""

    def __init__(self, *, grpc_port: int = 0, http_port: int = 0) -> None:
        self.receiver = OtlpReceiver(grpc_port=grpc_port, http_port=http_port)
        self._read = 0
        self._by_port: dict[int, list[SeenSpan]] = defaultdict(list)
        self._by_mark: dict[str, list[SeenSpan]] = defaultdict(list)
        self._due: dict[_Asked, int] = {}

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._check_due()
        finally:
            self.receiver.close()

    @property
    def endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT over gRPC."""
        return self.receiver.grpc_endpoint

    def spans(self, port: int | None = None, kind: int = 0) -> list[SeenSpan]:
        """Return what has come so far: of one service port (0: without one) or all, of one kind or both."""
        self._decode()
        chosen = self._by_port.values() if port is None else [self._by_port[port]]
        return [span for spans in chosen for span in spans if kind in (0, span.kind)]

    def marked(self, mark: str, kind: int = 0, port: int | None = None) -> list[SeenSpan]:
        """Return the spans of one run of a client, wherever it sent to or to one port."""
        if len(mark) < MARK_LENGTH:
            return [span for span in self.spans(port, kind) if span.mark.startswith(mark)]
        self._decode()
        return [
            span
            for span in self._by_mark[mark[:MARK_LENGTH]]
            if span.mark.startswith(mark) and port in (None, span.port) and kind in (0, span.kind)
        ]

    def forget(self) -> None:
        """Forget what has come so far, in which there must be nothing too many."""
        self._check_due()
        self.receiver.clear()
        self._read = 0
        self._by_port.clear()
        self._by_mark.clear()

    def _decode(self) -> None:
        """Take what has come since the last time: a session's spans are too many to look through often."""
        fresh = self.receiver.requests(start=self._read)
        self._read += len(fresh)
        for request in fresh:
            if request.signal == TRACES and request.accepted:
                for span in map(_flatten, decode_spans(request.body)):
                    self._by_port[span.port].append(span)
                    self._by_mark[span.mark[:MARK_LENGTH]].append(span)

    def expect(
        self,
        count: int,
        *,
        port: int | None = None,
        kind: int = 0,
        mark: str = "",
        quiet: float = QUIET_SECONDS,
    ) -> list[SeenSpan]:
        """Wait for `count` spans; return them, or fail with a list.

        Whether there are too many shows after a while, which of a mark is waited for once, at the end: a run
        of a client is done when it is asked for, and nothing more is to come of it.
        """
        asked = _Asked(mark, kind, port)
        wait_until(lambda: len(self.marked(*asked)) >= count)
        has_mark = len(mark) >= MARK_LENGTH
        if not has_mark:
            _be_quiet(quiet)
        seen = self._exactly(count, asked)
        if has_mark:
            self._due[asked] = count
        return seen

    def _exactly(self, count: int, asked: _Asked) -> list[SeenSpan]:
        seen = self.marked(*asked)
        what = f"{KINDS.get(asked.kind, '')} spans of port {asked.port} {asked.mark}"
        assert len(seen) == count, f"{count} {what} were due, {len(seen)} came:\n{describe(seen)}"
        return seen

    def _check_due(self) -> None:
        """Fail if of what was waited for there is more by now."""
        due, self._due = self._due, {}
        if due:
            _be_quiet(QUIET_SECONDS)
        for asked, count in due.items():
            self._exactly(count, asked)

    def settled(self, mark: str) -> list[SeenSpan]:
        """Wait until no more spans of one run of a client come, and return them."""
        before = -1
        while before != (before := len(self.marked(mark))):
            time.sleep(slack(QUIET_SECONDS))
        return self.marked(mark)

    def expect_none(self, *, port: int, kind: int = 0, seconds: float = 1.0) -> None:
        """Fail if a span of that port is there, or comes within `seconds`."""
        time.sleep(slack(seconds))
        seen = self.spans(port, kind)
        assert not seen, f"no spans of port {port} were due:\n{describe(seen)}"

    def histogram_count(self, name: str, wanted: Callable[[ReceivedMetric], bool]) -> int:
        """Sum the counts of the newest cumulative points of one histogram, of the resources wanted."""
        newest: dict[object, int] = {}
        for metric in self.receiver.metrics(name):
            if wanted(metric):
                resource = tuple(sorted(map(repr, metric.resource.items())))
                for point in metric.points:
                    series = (resource, tuple(sorted(map(repr, point.attributes.items()))))
                    newest[series] = point.count
        return sum(newest.values())


def _be_quiet(seconds: float) -> None:
    time.sleep(min(slack(seconds), max(seconds, _QUIET_LIMIT)))


def _flatten(span: ReceivedSpan) -> SeenSpan:
    return SeenSpan(
        name=span.name,
        kind=span.kind,
        start=span.start,
        end=span.end,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        is_error=span.status == _STATUS_ERROR,
        trace_state=span.trace_state,
        attributes=span.attributes,
        resource=span.resource,
    )
