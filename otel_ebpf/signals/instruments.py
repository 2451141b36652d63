"""Aggregation of measurements: histograms, sums and gauges, per service and set of attributes.

Hot path. Budget: one measurement at most 0.3 us when the caller holds the series
(`HistogramSeries.record`, `NumberSeries.add`).

One thread owns an `Instruments` and everything in it: it records, and it calls `collect`, which
copies out an immutable `Snapshot`. Another thread makes the SDK's data types of that
(`metric_data.resource_metrics`), cumulative or delta: a snapshot has, for each series, what it
holds and what it held at the collection before.

Series are capped for each instrument and service, as the metrics SDK specification says
("Cardinality limits"): the last one has the only attribute `otel.metric.overflow=true`, and takes
every measurement whose attributes found no room.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from enum import Enum
from itertools import chain
from math import inf
from typing import Generic, NamedTuple, TypeVar

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.signals.names import OTEL_METRIC_OVERFLOW

BATCH = 64
"""Values that a histogram keeps before it sorts them into buckets: at most 2 KiB a series."""

OVERFLOW: Attributes = ((OTEL_METRIC_OVERFLOW, True),)


class Kind(Enum):
    """What an instrument is; each but OBSERVED_COUNTER and GAUGE is the SDK's synchronous one."""

    HISTOGRAM = "histogram"
    COUNTER = "counter"
    OBSERVED_COUNTER = "observed_counter"  # its total is set, not added to
    UP_DOWN_COUNTER = "up_down_counter"
    GAUGE = "gauge"


class Descriptor(NamedTuple):
    """An instrument as the backend will know it. `bounds` are a histogram's upper bounds, inclusive."""

    name: str
    unit: str
    description: str
    kind: Kind
    bounds: tuple[float, ...] = ()


class HistogramValue(NamedTuple):
    """What a histogram held: a count for each bucket (one more than bounds), and the values' sum."""

    counts: tuple[int, ...]
    total: float


class HistogramPoint(NamedTuple):
    """One histogram series in a snapshot. Times are Unix nanoseconds."""

    service: Service
    attributes: Attributes
    start: int  # when the series held nothing
    previous_time: int  # of the collection before, or `start`
    value: HistogramValue
    previous: HistogramValue
    range: tuple[float, float]  # smallest and largest value of all; (inf, -inf) for none
    interval_range: tuple[float, float]  # the same, since the collection before


class NumberPoint(NamedTuple):
    """One sum or gauge series in a snapshot. Times are Unix nanoseconds."""

    service: Service
    attributes: Attributes
    start: int
    previous_time: int
    value: int | float
    previous: int | float


Points = tuple[HistogramPoint, ...] | tuple[NumberPoint, ...]


class Snapshot(NamedTuple):
    """All series at one time (Unix nanoseconds). Immutable: any thread may read it."""

    time: int
    instruments: tuple[tuple[Descriptor, Points], ...]


class HistogramSeries:
    """One histogram with one set of attributes.

    Values are kept as they come and sorted into their buckets by the batch, which costs a third of
    doing it one by one. `pending` is for the hot path: append to it, and call `fold` when it has
    `BATCH` values or more; `record` does both.
    """

    __slots__ = (
        "_bounds",
        "_counts",
        "_identity",
        "_interval_max",
        "_interval_min",
        "_max",
        "_min",
        "_previous",
        "_previous_time",
        "_total",
        "pending",
    )

    def __init__(self, service: Service, attributes: Attributes, bounds: Sequence[float], start: int) -> None:
        self._identity = (service, attributes, start)
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total: float = 0
        self._interval_min, self._interval_max = inf, -inf
        self._min, self._max = inf, -inf
        self._previous = HistogramValue(tuple(self._counts), 0)
        self._previous_time = start
        self.pending: list[float] = []

    def record(self, value: float) -> None:
        """Count one value."""
        pending = self.pending
        pending.append(value)
        if len(pending) >= BATCH:
            self.fold()

    def fold(self) -> None:
        """Sort the pending values into their buckets."""
        pending = self.pending
        if not pending:
            return
        pending.sort()
        self._total += sum(pending)
        self._interval_min = min(self._interval_min, pending[0])
        self._interval_max = max(self._interval_max, pending[-1])
        below = 0
        for bucket, bound in enumerate(self._bounds):
            position = bisect_right(pending, bound, below)
            self._counts[bucket] += position - below
            below = position
            if below == len(pending):
                break
        self._counts[-1] += len(pending) - below
        pending.clear()

    def merge(self, counts: Sequence[int], total: float, low: float, high: float) -> None:
        """Add values that were sorted into buckets elsewhere, by the same bounds; `counts` may be longer."""
        for bucket in range(len(self._counts)):
            self._counts[bucket] += counts[bucket]
        self._total += total
        self._interval_min = min(self._interval_min, low)
        self._interval_max = max(self._interval_max, high)

    def collect(self, now: int) -> HistogramPoint:
        """Copy what the series holds, and begin its next interval at `now`."""
        self.fold()
        interval = (self._interval_min, self._interval_max)
        idle = interval[0] > interval[1]
        value = self._previous if idle else HistogramValue(tuple(self._counts), self._total)
        self._min, self._max = min(self._min, interval[0]), max(self._max, interval[1])
        point = HistogramPoint(
            *self._identity, self._previous_time, value, self._previous, (self._min, self._max), interval
        )
        self._previous, self._previous_time = value, now
        self._interval_min, self._interval_max = inf, -inf
        return point


class NumberSeries:
    """One sum or gauge with one set of attributes."""

    __slots__ = ("_identity", "_previous", "_previous_time", "value")

    def __init__(self, service: Service, attributes: Attributes, _: Sequence[float], start: int) -> None:
        self._identity = (service, attributes, start)
        self.value: int | float = 0
        self._previous: int | float = 0
        self._previous_time = start

    def add(self, number: float) -> None:
        """Add to a counter (`number` not negative) or an up-down counter."""
        self.value += number

    def set(self, value: float) -> None:
        """Set a gauge, an observed counter's total, or an up-down counter's state."""
        self.value = value

    def collect(self, now: int) -> NumberPoint:
        """Copy what the series holds, and begin its next interval at `now`."""
        point = NumberPoint(*self._identity, self._previous_time, self.value, self._previous)
        self._previous, self._previous_time = self.value, now
        return point


S = TypeVar("S", HistogramSeries, NumberSeries)


class Instrument(Generic[S]):
    """The series of one instrument. Made by `Instruments`."""

    def __init__(self, descriptor: Descriptor, make: type[S], limit: int, owner: Instruments) -> None:
        self.descriptor = descriptor
        self._make: type[S] = make
        self._limit = limit
        self._owner = owner
        self._services: dict[Service, dict[Attributes, S]] = {}

    def series(self, service: Service, attributes: Attributes) -> S:
        """Return the series of `attributes`, new or known, or the overflow series.

        Keep it: recording in it is the hot path, finding it is not.
        """
        self._owner.keep(service)
        known = self._services.setdefault(service, {})
        found = known.get(attributes)
        if found is None:
            if len(known) >= self._limit - 1 and OVERFLOW not in known:
                attributes = OVERFLOW
            elif len(known) >= self._limit:
                return known[OVERFLOW]
            found = self._make(service, attributes, self.descriptor.bounds, self._owner.last_collection)
            known[attributes] = found
        return found

    def collect(self, now: int, later: Set[Service]) -> Points:
        """Copy every series out but those of some services."""
        every = chain.from_iterable(
            known.values() for service, known in self._services.items() if service not in later
        )
        return tuple(series.collect(now) for series in every)

    def collect_of(self, services: Iterable[Service], now: int) -> Points:
        """Copy out the series of some services."""
        every = chain.from_iterable(self._services.get(service, {}).values() for service in services)
        return tuple(series.collect(now) for series in every)

    def existing(self) -> list[S]:
        """Return every series there is."""
        return [series for known in self._services.values() for series in known.values()]

    def drop(self, service: Service) -> None:
        """Give up the series of `service`."""
        self._services.pop(service, None)


class Instruments:
    """A set of instruments that are collected together.

    `start` is the Unix time in nanoseconds at which every series not made yet held nothing: the
    agent's start; after a collection it is that collection. A series' start time is taken from it,
    which is right for both temporalities. `limit` caps the series of an instrument and service.
    """

    def __init__(self, start: int, limit: int = 2000) -> None:
        self.last_collection = start
        self._limit = max(limit, 1)
        self._histograms: list[Instrument[HistogramSeries]] = []
        self._numbers: list[Instrument[NumberSeries]] = []
        self._leaving: set[Service] = set()

    def histogram(
        self, name: str, unit: str, description: str, bounds: tuple[float, ...]
    ) -> Instrument[HistogramSeries]:
        """Declare a histogram with explicit, ascending `bounds`."""
        descriptor = Descriptor(name, unit, description, Kind.HISTOGRAM, bounds)
        instrument = Instrument(descriptor, HistogramSeries, self._limit, self)
        self._histograms.append(instrument)
        return instrument

    def number(self, name: str, unit: str, description: str, kind: Kind) -> Instrument[NumberSeries]:
        """Declare a counter, an observed counter, an up-down counter or a gauge."""
        instrument = Instrument(Descriptor(name, unit, description, kind), NumberSeries, self._limit, self)
        self._numbers.append(instrument)
        return instrument

    def collect(self, now: int, later: Set[Service] = frozenset()) -> Snapshot:
        """Copy all series out at `now` (Unix nanoseconds); then drop those of forgotten services.

        Services that are to be forgotten soon may be left for `later`: they are told of once then.
        """
        now = max(now, self.last_collection)  # the wall clock may be set back; an interval may not
        later = later - self._leaving
        snapshot = Snapshot(now, tuple((one.descriptor, one.collect(now, later)) for one in self._every()))
        self._drop_leaving()
        self.last_collection = now
        return snapshot

    def collect_leaving(self, now: int) -> Snapshot:
        """Copy out and drop the series of forgotten services alone, ahead of the next collection."""
        now = max(now, self.last_collection)
        leaving = tuple(self._leaving)
        points = tuple((one.descriptor, one.collect_of(leaving, now)) for one in self._every())
        self._drop_leaving()
        return Snapshot(now, points)

    @property
    def leaving(self) -> int:
        """How many forgotten services still have series."""
        return len(self._leaving)

    def forget(self, service: Service) -> None:
        """The service has gone: its series are collected once more, and then dropped."""
        self._leaving.add(service)

    def keep(self, service: Service) -> None:
        """A forgotten service has been heard of again: its series stay."""
        if self._leaving:
            self._leaving.discard(service)

    def _every(self) -> Iterator[Instrument[HistogramSeries] | Instrument[NumberSeries]]:
        yield from self._histograms
        yield from self._numbers

    def _drop_leaving(self) -> None:
        for one in self._every():
            for service in self._leaving:
                one.drop(service)
        self._leaving.clear()
