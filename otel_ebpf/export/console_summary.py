"""The table that the console shows on exit: requests by service and route."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from otel_ebpf.export.terminal import fit
from otel_ebpf.signals.span import Span, SpanKind

__all__ = ["Summary"]

MAXIMUM_ROWS: Final = 500
"""Service and route pairs told apart; the rest is one row."""
SHOWN_ROWS: Final = 40

# Bucket bounds in nanoseconds, each 10 % over the last from 1 us to about 80 minutes: a quantile
# read from them is at most 10 % too high.
_BOUNDS: Final = [int(1000 * 1.1**step) for step in range(235)]
_OTHER: Final = ("(other)", "(other)", 0)
_KINDS: Final[dict[int, str]] = {SpanKind.SERVER: "in", SpanKind.CLIENT: "out"}


class Row:
    """Requests of one service and route."""

    __slots__ = ("buckets", "count", "errors")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.buckets: dict[int, int] = {}

    def add(self, duration: int, error: bool) -> None:
        """Count one request of `duration` nanoseconds."""
        self.count += 1
        self.errors += error
        bucket = bisect_left(_BOUNDS, duration)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def quantile(self, fraction: float) -> float:
        """Return the duration in milliseconds that `fraction` of the requests did not exceed."""
        left = fraction * self.count
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return _BOUNDS[min(bucket, len(_BOUNDS) - 1)] / 1e6
        return 0.0


class Summary:
    """Counts, errors and durations by service, direction and span name; bounded."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], Row] = {}

    def add(self, span: Span) -> None:
        """Count `span`."""
        key = (span.template.service.name, span.template.name, span.template.kind)
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= MAXIMUM_ROWS:
                key = _OTHER
            row = self.rows.setdefault(key, Row())
        row.add(span.end - span.start, span.template.error)

    def lines(self) -> Iterator[str]:
        """Yield the table, most requests first; nothing when there were none."""
        if not self.rows:
            return
        yield ""
        yield _columns("service", "", "route", "count", "errors", "p50 ms", "p95 ms")
        ordered = sorted(self.rows.items(), key=lambda item: -item[1].count)
        for (service, name, kind), row in ordered[:SHOWN_ROWS]:
            p50, p95 = (f"{row.quantile(fraction):.2f}" for fraction in (0.5, 0.95))
            yield _columns(service, _KINDS.get(kind, ""), name, str(row.count), str(row.errors), p50, p95)
        if len(ordered) > SHOWN_ROWS:
            rest = sum(row.count for _, row in ordered[SHOWN_ROWS:])
            yield f"... and {len(ordered) - SHOWN_ROWS} more, with {rest} requests"


def _columns(service: str, kind: str, route: str, *numbers: str) -> str:
    count, errors, p50, p95 = numbers
    return f"{fit(service, 24)}  {kind:3}  {fit(route, 40)}  {count:>9}  {errors:>8}  {p50:>9}  {p95:>9}"
