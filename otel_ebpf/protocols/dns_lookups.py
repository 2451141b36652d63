"""Lookups out of questions to name servers and their answers, for programs with a resolver of their own.

One lookup is all that a process asks for the addresses of one name, or one other thing of it, until each
question is answered: for IPv4 and IPv6 at once, again when an answer stays out, by TCP when it did not fit.
It begins with the first question and ends with the last answer. When a program gives up nothing tells: a
lookup without an answer is given up `PATIENCE_NS` after its last question, and that is its end. Two threads
may ask for the two kinds of address (Go's): the second that asks when the first was answered already is
late, and no lookup of its own.

Books (`Shard`): reader_datagram = protocol_datagram_passed + _discovery + _unmatched + _unparsed;
protocol_lookup_seen = _passed + _in_flight.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import Datagram, Lookup, LookupCall, Transport
from otel_ebpf.protocols.dns import AAAA, A, Answer, Message, parse_message
from otel_ebpf.protocols.dns_stream import Streams

__all__ = ["PATIENCE_NS", "TIMED_OUT", "DnsLookups"]

PATIENCE_NS: Final = 5_000_000_000  # resolv.conf(5): RES_TIMEOUT, what most resolvers begin with
LATE_NS: Final = 100_000_000
KEPT: Final = 4096
TIMED_OUT: Final = -2
"""`Lookup.result` where h_errno of netdb.h knows no number."""
_HOST_NOT_FOUND, _TRY_AGAIN, _NO_RECOVERY, _NO_DATA = 1, 2, 3, 4

_PASSED = int(Entry.PROTOCOL_DATAGRAM_PASSED)
_UNMATCHED = int(Entry.PROTOCOL_DATAGRAM_UNMATCHED)
_UNPARSED = int(Entry.PROTOCOL_DATAGRAM_UNPARSED)
_SEEN = int(Entry.PROTOCOL_LOOKUP_SEEN)
_ENDED = int(Entry.PROTOCOL_LOOKUP_PASSED)
_IN_FLIGHT = int(Entry.PROTOCOL_LOOKUP_IN_FLIGHT)

_TCP = int(Transport.TCP)
_CODES: Final = {2: _TRY_AGAIN, 3: _HOST_NOT_FOUND}  # SERVFAIL, NXDOMAIN
_ADDRESSES_TOLD: Final = 8

_Name = tuple[int, int, bytes, int]  # process, its start, name, type; of both kinds of address A
_Question = tuple[int, int, int]  # socket, the message's id, type


class _Open:
    """A lookup with questions that wait. `waiting` has them by type, with all places where each was asked."""

    __slots__ = (
        *("answers", "asked", "first", "late", "results"),
        *("retries", "truncated", "truncations", "waiting"),
    )

    def __init__(self, first: Datagram, late: bool) -> None:
        self.first = first
        self.late = late
        self.asked = first.time
        self.waiting: dict[int, list[_Question]] = {}
        self.results: list[int] = []
        self.answers: list[Answer] = []
        self.truncated = 0  # time
        self.truncations = 0
        self.retries = 0


class _Place(NamedTuple):
    """What a question belongs to."""

    key: _Name
    lookup: _Open


class DnsLookups:
    """Takes what was sent and received, and returns the lookups that ended. For one thread. Never raises."""

    def __init__(self, shard: Shard, kept: int = KEPT) -> None:
        self._counts = shard.counts
        self._kept = kept
        self._streams = Streams()
        self._open: OrderedDict[_Name, _Open] = OrderedDict()  # by when they began
        self._places: dict[_Question, _Place] = {}
        self._halves: dict[_Name, tuple[int, int]] = {}  # one kind of address was told: which, and when

    def feed(self, record: Datagram) -> list[Lookup]:
        """Take a record; return the lookups that ended with it."""
        if record.vantage.transport != _TCP:
            ended: list[Lookup] = []
            self._counts[self._take(record, parse_message(record.data), ended)] += 1
            return ended
        ended, outcome = [], _PASSED  # the worst of the messages that end in this piece
        for data in self._streams.feed(record):
            outcome = max(outcome, self._take(record, parse_message(data), ended))
        self._counts[outcome] += 1
        return ended

    def expire(self, now: int) -> list[Lookup]:
        """Give up what has waited too long at `now`, in CLOCK_BOOTTIME nanoseconds."""
        # Later than LATE_NS: records are read later than they were made.
        for name in [name for name, (_, when) in self._halves.items() if now - when > PATIENCE_NS]:
            del self._halves[name]
        silent = [key for key, one in self._open.items() if now - one.asked > PATIENCE_NS]
        return [ended for key in silent if (ended := self._give_up(key))]

    def _take(self, record: Datagram, message: Message | None, ended: list[Lookup]) -> int:
        """Return the entry that a message counts in."""
        if message is None:
            return _UNPARSED
        question = (record.socket, message.number, message.kind)
        if not message.response:
            self._ask(record, message, question, ended)
            return _PASSED
        place = self._places.get(question)
        if place is None or place.key[2] != message.name:
            return _UNMATCHED
        if lookup := self._answer(place, record, message):
            ended.append(lookup)
        return _PASSED

    def _ask(self, record: Datagram, message: Message, question: _Question, ended: list[Lookup]) -> None:
        kind = A if message.kind == AAAA else message.kind
        key = (record.vantage.process, record.vantage.process_start, message.name, kind)
        lookup = self._open.get(key)
        if lookup is None:
            if len(self._open) >= self._kept and (given_up := self._give_up(next(iter(self._open)))):
                ended.append(given_up)
            lookup = self._open[key] = _Open(record, self._is_late(key, message.kind, record.time))
            if not lookup.late:
                self._counts[_SEEN] += 1
                self._counts[_IN_FLIGHT] += 1
        lookup.asked = record.time
        asked = lookup.waiting.setdefault(message.kind, [])
        # By TCP after an answer that did not fit it is no retry.
        lookup.retries += bool(asked) and not (lookup.truncated and record.vantage.transport == _TCP)
        if question not in asked:
            asked.append(question)
        self._places[question] = _Place(key, lookup)

    def _is_late(self, key: _Name, kind: int, now: int) -> bool:
        told, when = self._halves.pop(key, (kind, 0))
        return told != kind and now - when <= LATE_NS

    def _answer(self, place: _Place, record: Datagram, message: Message) -> Lookup | None:
        """Take an answer; return the lookup if it was the last."""
        key, lookup = place
        if message.truncated and record.vantage.transport != _TCP:
            lookup.truncations += 1
            lookup.truncated = record.time  # it is asked for again by TCP, unless this is enough
            lookup.answers += message.answers
            return None
        self._forget(lookup.waiting.pop(message.kind, []), lookup)
        lookup.results.append(_result(message))
        lookup.answers += message.answers
        if lookup.waiting:
            return None
        if key[3] == A and len(lookup.results) == 1 and not lookup.late and len(self._halves) < self._kept:
            self._halves[key] = (message.kind, record.time)
        return self._end(key, record.time)

    def _give_up(self, key: _Name) -> Lookup | None:
        lookup = self._open[key]
        for asked in lookup.waiting.values():
            self._forget(asked, lookup)
        if lookup.truncated:
            lookup.results.append(0)
            return self._end(key, lookup.truncated)
        lookup.results.append(TIMED_OUT)
        return self._end(key, lookup.asked + PATIENCE_NS)

    def _forget(self, asked: list[_Question], lookup: _Open) -> None:
        for question in asked:
            place = self._places.get(question)
            if place is not None and place.lookup is lookup:
                del self._places[question]

    def _end(self, key: _Name, end: int) -> Lookup | None:
        lookup = self._open.pop(key)
        if lookup.late:
            return None
        self._counts[_IN_FLIGHT] -= 1
        self._counts[_ENDED] += 1
        first = lookup.first
        addresses = dict.fromkeys((one.family, one.address) for one in lookup.answers)
        return Lookup(
            time=first.time,
            end=end,
            result=0 if 0 in lookup.results else lookup.results[0],
            call=int(LookupCall.QUESTIONS),
            name=key[2],
            addresses=tuple(addresses)[:_ADDRESSES_TOLD],
            seconds=min((one.seconds for one in lookup.answers), default=0),
            retries=lookup.retries,
            truncations=lookup.truncations,
            trace_id=first.trace_id,
            span_id=first.span_id,
            parent_id=first.parent_id,
            trace_flags=first.trace_flags,
            context_source=first.context_source,
            vantage=first.vantage,
        )


def _result(message: Message) -> int:
    """Return h_errno of a response, as the C library makes it of the same."""
    if message.code:
        return _CODES.get(message.code, _NO_RECOVERY)
    return 0 if message.answered else _NO_DATA
