"""TLS handshakes: a child span of the connection's first client call, and a metric.

A client's handshake waits for the first call of its connection, and becomes an INTERNAL child span of
that call's: same trace, sampled as it is. The handshake was over before the request's first byte, so the
child starts and ends before its parent: a call is timed from its first byte, whatever came before it.
One that failed has no call to wait for: it is a root span of its own, at once. Servers' handshakes are in
the metric alone, for which the conventions have no span.

Books (`Shard`): signal_handshake_seen = _span + _unsampled + _no_span + _discovery + _no_call
+ _role_unknown + _failed + _in_flight.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import Close, ContextSource, End, Exchange, Piece, Role
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.claims import connection_key
from otel_ebpf.protocols.tls_hello import parse_client_hello
from otel_ebpf.signals.handshake_shape import HandshakeShapes, failure_of
from otel_ebpf.signals.per_service import PerService, Sample
from otel_ebpf.signals.request_metrics import RequestMetrics
from otel_ebpf.signals.sampling import NO_PARENT, Sampler
from otel_ebpf.signals.span import NO_ATTRIBUTES, Span, SpanTemplate

__all__ = ["Handshakes"]

_logger = logging.getLogger(__name__)

WAITING: Final = 8192
SERVER_NAMES: Final = 16384
"""Connections whose server name is remembered: of older ones a call's server is that of its Host header."""

_SEEN = int(Entry.SIGNAL_HANDSHAKE_SEEN)
_SPAN = int(Entry.SIGNAL_HANDSHAKE_SPAN)
_UNSAMPLED = int(Entry.SIGNAL_HANDSHAKE_UNSAMPLED)
_NO_SPAN = int(Entry.SIGNAL_HANDSHAKE_NO_SPAN)
_DISCOVERY = int(Entry.SIGNAL_HANDSHAKE_DISCOVERY)
_NO_CALL = int(Entry.SIGNAL_HANDSHAKE_NO_CALL)
_ROLE_UNKNOWN = int(Entry.SIGNAL_HANDSHAKE_ROLE_UNKNOWN)
_FAILED = int(Entry.SIGNAL_HANDSHAKE_FAILED)
_IN_FLIGHT = int(Entry.SIGNAL_HANDSHAKE_IN_FLIGHT)

_CLIENT = int(Role.CLIENT)
_SERVER = int(Role.SERVER)
_COMPLETED = int(End.NONE)
_LAST = (int(End.FIN), int(End.RESET), int(End.UPGRADE))  # no exchange follows on the connection
_ROOT = int(ContextSource.ROOT)
_SAMPLED = 1  # W3C trace flags
_RANDOM = 2


class _Waiting(NamedTuple):
    """A handshake whose call has not come."""

    template: SpanTemplate
    start: int  # CLOCK_BOOTTIME nanoseconds
    end: int


class Handshakes:
    """Takes handshakes, and the first calls behind them. One thread uses it. Never raises.

    `clock`, `sampler`, `metrics`, `emit` and `per_service` are those of the `SignalStage`. `server_names` has
    the name that a client asked for, by `connection_key`, where there is one.
    """

    def __init__(  # noqa: PLR0917 (as a stage is given them)
        self,
        shard: Shard,
        clock: Callable[[], int],
        sampler: Sampler,
        metrics: RequestMetrics | None,
        emit: Callable[[Span], None] | None,
        waiting: int = WAITING,
        per_service: PerService | None = None,
    ) -> None:
        self._per_service = per_service or PerService()
        self.server_names: OrderedDict[int, str] = OrderedDict()
        self._counts = shard.counts
        self._clock = clock
        self._sample = sampler.sample
        self._metrics = metrics
        self._emit = emit
        self._shapes = HandshakeShapes(metrics.instruments if metrics is not None else None)
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._maximum = waiting
        self._complained = False

    def seen(self, record: Exchange, service: Service | None) -> None:
        """Take a record of `Kind.HANDSHAKE`; `service` is None where discovery excludes it."""
        counts = self._counts
        counts[_SEEN] += 1
        try:
            counts[self._take(record, service)] += 1
        except Exception:
            counts[_FAILED] += 1
            self._complain()

    def called(self, call: Call) -> None:
        """Take a call of an encrypted connection, once its own span has left."""
        record = call.record
        key = connection_key(record)
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._counts[_IN_FLIGHT] -= 1
            try:
                self._counts[self._child(waiting, call)] += 1
            except Exception:
                self._counts[_FAILED] += 1
                self._complain()
        if record.end in _LAST:
            self.server_names.pop(key, None)

    def closed(self, record: Exchange | Piece | Close) -> None:
        """A connection has ended, or no call will be made of it."""
        key = connection_key(record)
        self.server_names.pop(key, None)
        if self._waiting.pop(key, None) is not None:
            self._give_up()

    def _take(self, record: Exchange, service: Service | None) -> int:
        """Return the entry that the handshake counts in."""
        if service is None:
            return _DISCOVERY
        role = record.vantage.role
        if role not in (_CLIENT, _SERVER):
            return _ROLE_UNKNOWN
        failed = failure_of(record) if record.end != _COMPLETED else ""
        # A failed one is over with the last thing that was seen of it: its end is not timed apart.
        end = max(record.time, record.request_end, record.response_start, record.response_end)
        if self._metrics is not None:
            if record.lost:
                self._metrics.lost(service, record.lost)
            self._shapes.measure(service, record, failed, end - record.time)
        if role == _SERVER:
            return _NO_SPAN
        name = parse_client_hello(record.request).server_name
        if name and not failed:
            self._remember(connection_key(record), name)
        if self._emit is None or service in self._per_service.untraced:
            return _NO_SPAN
        template = self._shapes.template(service, record, name, failed)
        waiting = _Waiting(template, record.time, end)
        return self._root(waiting) if failed else self._wait(connection_key(record), waiting)

    def _remember(self, key: int, name: str) -> None:
        if len(self.server_names) >= SERVER_NAMES:
            self.server_names.popitem(last=False)
        self.server_names[key] = name

    def _wait(self, key: int, waiting: _Waiting) -> int:
        if self._waiting.pop(key, None) is not None:  # a renegotiation, or the connection's id once more
            self._give_up()
        elif len(self._waiting) >= self._maximum:
            self._waiting.popitem(last=False)
            self._give_up()
        self._waiting[key] = waiting
        return _IN_FLIGHT

    def _give_up(self) -> None:
        self._counts[_IN_FLIGHT] -= 1
        self._counts[_NO_CALL] += 1

    def _child(self, waiting: _Waiting, call: Call) -> int:
        flags, source, service = call.trace_flags, call.context_source, waiting.template.service
        if service in self._per_service.untraced:  # it was not yet, at the handshake
            return _NO_SPAN
        if not self._sample_of(service)(call.trace_id, call.parent_id, flags, source):
            return _UNSAMPLED
        return self._leave(waiting, call.trace_id, call.span_id, flags & _RANDOM | _SAMPLED)

    def _root(self, waiting: _Waiting) -> int:
        trace_id = os.urandom(16)
        if not self._sample_of(waiting.template.service)(trace_id, NO_PARENT, 0, _ROOT):
            return _UNSAMPLED
        return self._leave(waiting, trace_id, b"", _SAMPLED)

    def _sample_of(self, service: Service) -> Sample:
        return self._per_service.samplers.get(service, self._sample)

    def _leave(self, waiting: _Waiting, trace_id: bytes, parent: bytes, flags: int) -> int:
        template, start, end = waiting
        offset = self._clock()
        assert self._emit is not None
        self._emit(
            Span(
                template, trace_id, os.urandom(8), parent, flags, False,
                start + offset, end + offset, NO_ATTRIBUTES, 0,
            )
        )  # fmt: skip
        return _SPAN

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            _logger.exception(
                "a handshake could not be made into a signal, please report this line; more are only counted"
            )
