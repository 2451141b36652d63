"""Lookups out of questions and answers: what belongs together, when it ends, and the books."""

from __future__ import annotations

import struct
from dataclasses import replace

from dns_support import AAAA, STREAM, VANTAGE, A, address, query, received, response, sent
from hypothesis import given
from hypothesis import strategies as st
from signals_support import SECOND, ipv4

from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.records import Datagram, Lookup, LookupCall
from otel_ebpf.protocols.dns_lookups import LATE_NS, PATIENCE_NS, TIMED_OUT, DnsLookups
from otel_ebpf.protocols.dns_stream import Streams

MS = 1_000_000


class Bench:
    """A `DnsLookups`, and its books."""

    def __init__(self, kept: int = 100) -> None:
        self.ledger = Ledger()
        self.lookups = DnsLookups(self.ledger.shard(), kept)

    def feed(self, *records: Datagram) -> list[Lookup]:
        return [lookup for record in records for lookup in self.lookups.feed(record)]

    def counts(self) -> dict[str, int]:
        totals = self.ledger.totals()
        names = {entry.name.lower().removeprefix("protocol_"): totals[entry] for entry in Entry}
        return {name: n for name, n in names.items() if n and name.startswith(("datagram_", "lookup_"))}


def test_a_question_and_its_answer() -> None:
    bench = Bench()
    assert bench.feed(sent(query())) == []
    assert bench.counts() == {"datagram_passed": 1, "lookup_seen": 1, "lookup_in_flight": 1}
    (lookup,) = bench.feed(received(response(query(), address())))
    assert (lookup.time, lookup.end, lookup.result) == (SECOND, SECOND + 5 * MS, 0)
    assert (lookup.name, lookup.call) == (b"shop.example", LookupCall.QUESTIONS)
    assert (lookup.addresses, lookup.seconds) == (((2, ipv4("10.0.0.7")),), 30)
    assert (lookup.trace_id, lookup.span_id, lookup.vantage) == (b"\x01" * 16, b"\x02" * 8, VANTAGE)
    assert bench.counts() == {"datagram_passed": 2, "lookup_seen": 1, "lookup_passed": 1}


def test_results() -> None:
    for code, records, result in ((0, (), 4), (2, (), 2), (3, (), 1), (5, (), 3), (0, (address(),), 0)):
        bench = Bench()
        (lookup,) = bench.feed(sent(query()), received(response(query(), *records, code=code)))
        assert lookup.result == result


def test_both_families_are_one_lookup_that_lasts_as_long_as_the_longer() -> None:
    bench = Bench()
    first, second = query(kind=A), query(kind=AAAA, number=8)
    bench.feed(sent(first), sent(second, time=SECOND + MS))
    assert bench.feed(received(response(second), time=SECOND + 2 * MS)) == []
    (lookup,) = bench.feed(received(response(first, address()), time=SECOND + 9 * MS))
    assert (lookup.end - lookup.time, lookup.result) == (9 * MS, 0)


def test_the_other_family_that_is_asked_for_late_is_no_lookup_of_its_own() -> None:
    bench = Bench()
    first, second = query(kind=A), query(kind=AAAA, number=8)
    (lookup,) = bench.feed(sent(first), received(response(first, address()), time=SECOND + 2 * MS))
    assert lookup.end - lookup.time == 2 * MS
    asked = SECOND + 3 * MS
    assert bench.feed(sent(second, time=asked), received(response(second), time=asked + MS)) == []
    assert bench.counts() == {"datagram_passed": 4, "lookup_seen": 1, "lookup_passed": 1}
    later = asked + 2 * MS
    assert bench.feed(sent(first, time=later), received(response(first), time=later + MS)), "asked anew"
    assert (
        len(bench.feed(sent(first, time=later + 2 * MS), received(response(first), time=later + 3 * MS))) == 1
    )
    assert bench.counts()["lookup_passed"] == 3


def test_the_other_family_is_late_for_a_moment_only() -> None:
    bench = Bench()
    first, second = query(kind=A), query(kind=AAAA, number=8)
    bench.feed(sent(first), received(response(first, address()), time=SECOND + MS))
    assert bench.lookups.expire(SECOND + MS + LATE_NS) == []
    later = SECOND + 2 * MS + LATE_NS
    assert bench.feed(sent(second, time=later), received(response(second), time=later + MS))


def test_other_types_and_processes_are_lookups_of_their_own() -> None:
    bench = Bench()
    other = replace(VANTAGE, process=11)
    bench.feed(sent(query()), sent(query(kind=33)), sent(query(number=9), socket=2, vantage=other))
    assert bench.counts()["lookup_in_flight"] == 3


def test_asking_again_elsewhere_is_the_same() -> None:
    bench = Bench()
    again = query(number=8)
    bench.feed(sent(query()), sent(again, socket=2, time=SECOND + 20 * MS))
    (lookup,) = bench.feed(received(response(again, address()), socket=2, time=SECOND + 25 * MS))
    assert (lookup.end - lookup.time, lookup.retries, lookup.truncations) == (25 * MS, 1, 0)
    assert bench.feed(received(response(query(), address()))) == []
    assert bench.counts()["datagram_unmatched"] == 1, "the first answer comes too late"


def test_what_did_not_fit_is_awaited_by_tcp() -> None:
    bench = Bench()
    asked = query(number=8)
    answer = response(asked, address())
    assert bench.feed(sent(query()), received(response(query(), truncated=True))) == []
    stream = struct.pack(">H", len(asked)) + asked
    bench.feed(sent(stream[:2], vantage=STREAM, socket=2), sent(stream[2:], vantage=STREAM, socket=2))
    whole = struct.pack(">H", len(answer)) + answer
    (lookup,) = bench.feed(received(whole, vantage=STREAM, socket=2, time=SECOND + 9 * MS))
    assert (lookup.end - lookup.time, lookup.result) == (9 * MS, 0)
    assert (lookup.retries, lookup.truncations) == (0, 1)
    assert bench.counts() == {"datagram_passed": 5, "lookup_seen": 1, "lookup_passed": 1}


def test_what_did_not_fit_may_be_enough() -> None:
    bench = Bench()
    bench.feed(sent(query()), received(response(query(), address(), truncated=True)))
    assert bench.lookups.expire(SECOND + PATIENCE_NS) == []
    (lookup,) = bench.lookups.expire(SECOND + PATIENCE_NS + 1)
    assert (lookup.end - lookup.time, lookup.result) == (5 * MS, 0)


def test_no_answer_is_a_timeout_after_the_last_question() -> None:
    bench = Bench()
    bench.feed(sent(query()), sent(query(), time=SECOND + 3 * MS))
    assert bench.lookups.expire(SECOND + PATIENCE_NS) == []
    (lookup,) = bench.lookups.expire(SECOND + 4 * MS + PATIENCE_NS)
    assert (lookup.result, lookup.end) == (TIMED_OUT, SECOND + 3 * MS + PATIENCE_NS)
    assert bench.counts() == {"datagram_passed": 2, "lookup_seen": 1, "lookup_passed": 1}
    assert bench.lookups.expire(SECOND * 100) == []


def test_one_of_two_answers() -> None:
    bench = Bench()
    bench.feed(sent(query()), sent(query(kind=AAAA, number=8)), received(response(query(), address())))
    (lookup,) = bench.lookups.expire(SECOND + PATIENCE_NS + 1)
    assert lookup.result == 0


def test_an_answer_to_another_question_is_none() -> None:
    bench = Bench()
    asked = query()
    for answer in (response(query("other.example")), response(query(number=8)), response(query(kind=AAAA))):
        assert bench.feed(sent(asked), received(answer)) == []
    assert bench.counts()["datagram_unmatched"] == 3
    assert bench.feed(received(response(asked), socket=2)) == []


def test_what_is_no_message() -> None:
    bench = Bench()
    assert bench.feed(sent(b"hello"), sent(b"\0\5hello", vantage=STREAM)) == []
    assert bench.counts() == {"datagram_unparsed": 2}


def test_there_are_never_too_many() -> None:
    bench = Bench(kept=3)
    ended = bench.feed(*(sent(query(f"a{number}.example", number=number)) for number in range(5)))
    assert [one.name for one in ended] == [b"a0.example", b"a1.example"]
    assert bench.counts()["lookup_in_flight"] == 3
    assert len(bench.lookups._places) == 3


def test_streams_are_forgotten() -> None:
    streams = Streams(kept=2)
    for socket in range(3):
        streams.feed(sent(b"\0\4ab", vantage=STREAM, socket=socket))
    assert streams.feed(sent(b"cd", vantage=STREAM, socket=2)) == [b"abcd"]
    assert streams.feed(sent(b"cd", vantage=STREAM, socket=0)) == []


def test_what_was_not_captured_is_passed_over() -> None:
    streams = Streams()
    long = struct.pack(">H", 4000) + bytes(510)
    assert streams.feed(sent(long, vantage=STREAM, length=3002)) == []
    (message,) = streams.feed(sent(bytes(512), vantage=STREAM, length=1000))
    assert len(message) == 1022
    assert streams.feed(sent(b"\0\1a", vantage=STREAM)) == [b"a"]


@given(st.binary(max_size=300), st.integers(1, 9))
def test_streams_however_they_are_cut(data: bytes, step: int) -> None:
    framed = b"".join(struct.pack(">H", len(one)) + one for one in (data, b"x", data))
    streams = Streams()
    pieces = [framed[at : at + step] for at in range(0, len(framed), step)]
    found = [one for piece in pieces for one in streams.feed(sent(piece, vantage=STREAM))]
    assert [one for one in found if one] == [one for one in (data, b"x", data) if one]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.binary(max_size=60)), max_size=30))
def test_the_books_balance_whatever_comes(pieces: list[tuple[bool, int, bytes]]) -> None:
    bench, messages = Bench(kept=2), [query(), response(query(), address()), query(kind=AAAA)]
    for stream, number, data in pieces:
        body = messages[number] if number < len(messages) else data
        bench.feed(sent(body, vantage=STREAM if stream else VANTAGE))
    counts = bench.counts()
    assert sum(n for name, n in counts.items() if name.startswith("datagram_")) == len(pieces)
    ended = counts.get("lookup_passed", 0) + counts.get("lookup_in_flight", 0)
    assert counts.get("lookup_seen", 0) == ended
