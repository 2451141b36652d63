"""Where records go: each kind to the stages that take it, with the service that it is of.

Hot path for exchanges that are not known again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_ebpf.control import Control
from otel_ebpf.identity.model import Service
from otel_ebpf.identity.own_traces import OwnTraces, is_export_path, overhears_export
from otel_ebpf.identity.services import Services
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.likeness import Likenesses
from otel_ebpf.kernel.records import (
    Capture,
    Close,
    Datagram,
    Exchange,
    Kind,
    Lookup,
    Piece,
    ProcessSeen,
    Record,
)
from otel_ebpf.probing.watch import Watch
from otel_ebpf.protocols.calls import Call, HttpCall
from otel_ebpf.protocols.dns_lookups import DnsLookups
from otel_ebpf.protocols.stage import ProtocolStage
from otel_ebpf.signals.stage import Known, SignalStage

__all__ = ["Intake"]

HELD_MAX: Final = 4096
"""Records that are held at the same time: what is over has all processes go without their late facts."""

_EXCHANGE: Final = int(Kind.EXCHANGE)
_TLS: Final = int(Capture.TLS)


@dataclass
class Intake:
    """Used by the thread that reads the ring buffer."""

    shard: Shard
    services: Services
    watch: Watch
    control: Control
    likenesses: Likenesses
    protocols: ProtocolStage
    signals: SignalStage
    own_traces: OwnTraces

    def __post_init__(self) -> None:
        self._dns = DnsLookups(self.shard)
        self._held: dict[tuple[int, int], list[Record]] = {}  # by process, in their order
        self._held_records = 0

    def take(self, record: Record) -> None:
        """Take one record to its end, unless it is held because more may come to be known of its process."""
        if not isinstance(record, ProcessSeen) and self.services.waits(record.vantage):
            self._hold(record)
        elif type(record) is Exchange:
            self._take_exchange(record)
        elif type(record) is Piece:
            self._take_piece(record)
        elif type(record) is ProcessSeen:
            if record.kind != Kind.PROCESS_EXIT:
                self.watch.started(record.agent_process, record.process)
            if record.kind == Kind.EXEC:
                return
            if record.kind == Kind.PROCESS:
                self.services.seen(record)
            else:
                self.services.exited(record)
        elif type(record) is Close:
            for call in self.protocols.close(record):
                self.signals.call(call, self.services.service_of(call.record.vantage))
            self.signals.handshakes.closed(record)
        else:
            self._take_dns(record)

    def settle(self, *, at_once: bool = False) -> None:
        """Take what was held for facts that have come meanwhile, or are waited for no longer."""
        for key in self.services.settle(at_once=at_once):
            held = self._held.pop(key, [])
            self._held_records -= len(held)
            for record in held:
                self.take(record)

    def _hold(self, record: Exchange | Piece | Close | Lookup | Datagram) -> None:
        if self._held_records >= HELD_MAX:
            self.settle(at_once=True)
            self.take(record)
            return
        key = (record.vantage.process, record.vantage.process_start)
        self._held.setdefault(key, []).append(record)
        self._held_records += 1

    def _take_dns(self, record: Record) -> None:
        if type(record) is Lookup:
            self._take_lookups([record])
        elif type(record) is Datagram:
            if self.services.admitted(record.vantage) is None:
                self.shard.counts[Entry.PROTOCOL_DATAGRAM_DISCOVERY] += 1
            else:
                self._take_lookups(self._dns.feed(record))

    def _take_lookups(self, lookups: Sequence[Lookup]) -> None:
        for lookup in lookups:
            self.signals.lookups.seen(lookup, self.services.admitted(lookup.vantage))

    def _observed(self, record: Exchange | Piece) -> Service | None:
        """Return the service of a record, None where the configuration wants nothing of it."""
        service = self.services.admitted(record.vantage)
        if service is not None and record.flags & _TLS and self.control.leaves_out_tls(service):
            return None
        return service

    def _take_exchange(self, record: Exchange) -> None:
        if record.kind != _EXCHANGE:
            self._take_like_exchange(record)
            return
        service = self._observed(record)
        if service is None:
            self.shard.counts[Entry.PROTOCOL_DISCOVERY] += 1
            return
        call = self.protocols.exchange(record)
        if call is None:
            return
        self._look_for_export(call, service)
        plan = self.signals.call(call, service)
        if plan is not None and plan.settled and (bound := self.protocols.body_bound(record)) >= 0:
            known = Known(plan, record.request_head, record.response_head, bound)
            self.likenesses.keep(record.likeness, known)

    def _take_like_exchange(self, record: Exchange) -> None:
        """Take what has the form of an exchange and is none."""
        if record.kind == Kind.HANDSHAKE:
            service = self.services.admitted(record.vantage)
            if service is not None:
                self.watch.handshake(record.vantage.agent_process)
            self.signals.handshakes.seen(record, service)
        else:
            self.protocols.amend(record)

    def _take_piece(self, record: Piece) -> None:
        if self._observed(record) is None:
            self.shard.counts[Entry.PROTOCOL_STREAM_DISCOVERY] += 1
            self.control.ignore(record.socket, record.connection)
            return
        for call in self.protocols.piece(record):
            service = self.services.service_of(call.record.vantage)
            self._look_for_export(call, service)
            self.signals.call(call, service)

    def _look_for_export(self, call: Call, service: Service) -> None:
        if type(call.value) is not HttpCall:
            return
        request, _, body, _ = call.value
        if body > 0 and request.method == "POST" and is_export_path(request.path):
            self.own_traces.exported(call.record.vantage, service)

    def overheard(self, record: Exchange | Piece) -> None:
        """Take a record of a connection whose protocol is recognised and not read."""
        data = record.data if isinstance(record, Piece) else record.request
        if overhears_export(data):
            self.own_traces.exported(record.vantage, self.services.service_of(record.vantage))

    def expire(self, now: int) -> None:
        """Take what nothing more came of; `now` is CLOCK_BOOTTIME in nanoseconds. Call ten times a second."""
        self.settle()
        for call in self.protocols.expire(now):
            self.signals.call(call, self.services.service_of(call.record.vantage))
        self._take_lookups(self._dns.expire(now))
