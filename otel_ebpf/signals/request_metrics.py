"""The metrics of HTTP requests: durations, body sizes, active requests.

Hot path. Budget: counting one call at most 0.3 us, all three histograms (`RequestMetrics.record`).

Every call is counted, sampled or not.

`http.server.active_requests` cannot be had from calls: a call is known only when it has ended, so
whatever user space counted would be wrong by all that are open. It is exact where somebody looks at
the exchanges that are open in the kernel: the agent walks them before each collection, and sets
what it found (`begin_active`, then `set_active` for each set of attributes).

A histogram whose service lost records is too low, and should say so. The conventions have no
attribute for that, and inventing one would split the series when the loss happens. So the records
that a connection lost (`record_header.lost`) are a counter of their own under the same resource:
`ebpf.ledger.records` with stage=signal, outcome=dropped, reason=record_lost. A service that has no
such series lost nothing. (The kernel's ledger, under the agent's own resource, counts the same
records once more, as stage=kernel: sum over one stage, never over all.)
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.records import ContextSource
from otel_ebpf.signals import names
from otel_ebpf.signals.instruments import BATCH, HistogramSeries, Instrument, Instruments, Kind, NumberSeries
from otel_ebpf.signals.span import SpanKind

SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The conventions' bounds for durations in seconds."""

BYTES_BOUNDS = (0, 64, 256, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26)
"""Steps of four from 64 B to 64 MiB, and empty bodies apart. The conventions give none."""

LOST: Attributes = (
    (names.LEDGER_STAGE, "signal"),
    (names.LEDGER_OUTCOME, "dropped"),
    (names.LEDGER_REASON, "record_lost"),
)

UNPARENTED = {
    int(ContextSource.ROOT): "unknown",
    int(ContextSource.ANSWERED): "answered",
    int(ContextSource.AMBIGUOUS): "ambiguous",
}
"""Why a client's request has no parent, by the source of its context."""


class RequestSeries(NamedTuple):
    """The series that calls of one shape count in: their pending values, and the series themselves.

    The sizes are None where they are switched off.
    """

    durations: list[float]
    request_sizes: list[float] | None
    response_sizes: list[float] | None
    all: tuple[HistogramSeries, ...]


class Shape(Protocol):
    """What is needed of `http_shape.Shape`."""

    service: Service
    kind: int
    metric_attributes: Attributes
    series: RequestSeries | None


class _Side(NamedTuple):
    duration: Instrument[HistogramSeries]
    request_size: Instrument[HistogramSeries]
    response_size: Instrument[HistogramSeries]


def _side(instruments: Instruments, side: str, duration: str, request: str, response: str) -> _Side:
    return _Side(
        instruments.histogram(duration, "s", f"Duration of HTTP {side} requests.", SECONDS_BOUNDS),
        instruments.histogram(request, "By", f"Size of HTTP {side} request bodies.", BYTES_BOUNDS),
        instruments.histogram(response, "By", f"Size of HTTP {side} response bodies.", BYTES_BOUNDS),
    )


class RequestMetrics:
    """Declares its instruments in `instruments`, and counts in them. One thread uses both."""

    def __init__(
        self, instruments: Instruments, body_sizes: bool = True, active_requests: bool = True
    ) -> None:
        self.instruments = instruments
        self.active_requests = active_requests
        self._body_sizes = body_sizes
        self._server = _side(
            instruments,
            "server",
            names.HTTP_SERVER_REQUEST_DURATION,
            names.HTTP_SERVER_REQUEST_BODY_SIZE,
            names.HTTP_SERVER_RESPONSE_BODY_SIZE,
        )
        self._client = _side(
            instruments,
            "client",
            names.HTTP_CLIENT_REQUEST_DURATION,
            names.HTTP_CLIENT_REQUEST_BODY_SIZE,
            names.HTTP_CLIENT_RESPONSE_BODY_SIZE,
        )
        self._active: Instrument[NumberSeries] = instruments.number(
            names.HTTP_SERVER_ACTIVE_REQUESTS,
            "{request}",
            "Number of active HTTP server requests.",
            Kind.UP_DOWN_COUNTER,
        )
        self._lost: Instrument[NumberSeries] = instruments.number(
            names.LEDGER_RECORDS,
            "{record}",
            "What was seen of this service, but is missing in its other metrics.",
            Kind.COUNTER,
        )
        self._unparented: Instrument[NumberSeries] = instruments.number(
            names.TRACE_UNPARENTED,
            "{span}",
            "Requests that a serving process made, of which it is not known for which request.",
            Kind.COUNTER,
        )
        self._serving: set[Service] = set()

    def record(self, shape: Shape, nanoseconds: int, request_body: int, response_body: int) -> None:
        """Count one call. Sizes are in bytes, negative for unknown, which is not counted."""
        series = shape.series
        if series is None:
            series = shape.series = self._series(shape)
        durations, request_sizes, response_sizes, all_of_them = series
        durations.append(nanoseconds / 1e9)
        if request_sizes is not None and response_sizes is not None:
            if request_body >= 0:
                request_sizes.append(request_body)
            if response_body >= 0:
                response_sizes.append(response_body)
        if len(durations) >= BATCH:  # the sizes never have more than the durations
            for histogram in all_of_them:
                histogram.fold()

    def _series(self, shape: Shape) -> RequestSeries:
        side = self._client
        if shape.kind == SpanKind.SERVER:
            side = self._server
            self._serving.add(shape.service)
        instruments = side if self._body_sizes else side[:1]
        every = tuple(one.series(shape.service, shape.metric_attributes) for one in instruments)
        durations, *sizes = (one.pending for one in every)
        return RequestSeries(durations, sizes[0] if sizes else None, sizes[1] if sizes else None, every)

    def unparented(self, service: Service, source: int) -> None:
        """Count a request that `service` made, without a parent. Of one that serves nothing, none has any.

        `source` is of its context, and one of `UNPARENTED`.
        """
        if service in self._serving:
            attributes = ((names.LEDGER_REASON, UNPARENTED[source]), (names.RUNTIME, service.language))
            self._unparented.series(service, attributes).add(1)

    def lost(self, service: Service, number: int) -> None:
        """Count records that a connection of `service` lost."""
        self._lost.series(service, LOST).add(number)

    def unsupported(self, service: Service, protocol: str) -> None:
        """Count a connection of `service` whose protocol is recognised and not read."""
        attributes = (
            (names.LEDGER_STAGE, "protocol"),
            (names.LEDGER_OUTCOME, "filtered"),
            (names.LEDGER_REASON, "unsupported_protocol"),
            (names.NETWORK_PROTOCOL_NAME, protocol),
        )
        self._lost.series(service, attributes).add(1)

    def begin_active(self) -> None:
        """Before a walk over the open exchanges: what is not found in it is zero."""
        for series in self._active.existing():
            series.set(0)

    def set_active(self, service: Service, attributes: Attributes, value: int) -> None:
        """Say how many requests `service` has open with `attributes` (method, scheme)."""
        if self.active_requests:
            self._active.series(service, attributes).set(value)

    def drop(self, service: Service) -> None:
        """The series of the service's requests end at once: they are not wanted any more."""
        self._serving.discard(service)
        for one in (*self._server, *self._client):
            one.drop(service)
        for number in (self._active, self._unparented):
            number.drop(service)

    def forget(self, service: Service) -> None:
        """The service has gone: its series are exported once more, and then dropped."""
        self._serving.discard(service)
        self.instruments.forget(service)
