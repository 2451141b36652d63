"""Exchanges that are like an earlier one: they become the same spans and counts as if each had been read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocols_support import IDS, Control, exchange
from ring_support import Ring
from signals_support import client_hello, tls

from otel_ebpf.agent import Agent
from otel_ebpf.identity.model import Service
from otel_ebpf.identity.own_traces import OwnTraces
from otel_ebpf.intake import Intake
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.likeness import CAPACITY, Likenesses
from otel_ebpf.kernel.reader import Reader
from otel_ebpf.kernel.records import EXCHANGE, WIRE_VERSION, Capture, ContextSource, End, Exchange, Kind, Role
from otel_ebpf.kernel.vantage import START, STOP, VANTAGE, Vantage
from otel_ebpf.protocols.stage import ProtocolStage
from otel_ebpf.signals.instruments import Instruments
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.request_metrics import RequestMetrics
from otel_ebpf.signals.route_rules import RouteRules, Rule
from otel_ebpf.signals.routes import Routes
from otel_ebpf.signals.sampling import AlwaysOff, make_sampler
from otel_ebpf.signals.span import Span
from otel_ebpf.signals.stage import SignalStage

SHOP = Service(1, "shop", "python", (("service.name", "shop"),))
GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TRACED = b"GET /a HTTP/1.1\r\nHost: shop\r\ntraceparent: 00-%s-%s-01\r\nAccept: */*\r\n\r\n"
SERVER, CLIENT = int(Role.SERVER), int(Role.CLIENT)


def packed(record: Exchange) -> bytes:
    """Return the record as the kernel would write it."""
    form = EXCHANGE.pack(*record[: Exchange._fields.index("request")])
    seen = record.vantage
    vantage = VANTAGE.pack(*(getattr(seen, name) for name in Vantage.__slots__))
    head = WIRE_VERSION.to_bytes(2, "little") + form[2:START] + vantage + form[STOP:]
    return head + record.request + record.response + record.path


def followed(request: bytes = GET, response: bytes = OK, **changes: Any) -> Exchange:
    """An exchange whose heads the kernel has followed to their ends."""
    facts = {name: changes.pop(name) for name in list(changes) if name in Exchange._fields and name not in
             ("end", "flags", "status", "error")}  # fmt: skip
    options = {"status": 200, "response_head": response.find(b"\r\n\r\n") + 4} | changes
    return exchange(request, response, **options)._replace(**facts)


class Services:
    """Everything is the shop's."""

    def admitted(self, _: Vantage) -> Service:
        return SHOP

    service_of = admitted

    def waits(self, _: Vantage) -> bool:
        return False


class Way(Agent):
    """The agent's way from the ring buffer's bytes to spans; `short` False: none is known again."""

    def __init__(self, short: bool = True, *, limit: int = 200) -> None:
        self.ledger = Ledger()
        self.spans: list[Span] = []
        self.short = short
        self._shard = shard = self.ledger.shard()
        self._likenesses = Likenesses()
        self.ring = Ring()
        self._reader = Reader(self.ring, shard, self._likenesses)  # type: ignore[arg-type]
        self._services = Services()  # type: ignore[assignment]
        control: Any = Control()
        control.flush = lambda: None
        control.leaves_out_tls = lambda service: False
        self._control = control
        watch: Any = type("Watch", (), {"handshake": lambda *_: None})()
        self._protocols = ProtocolStage(shard, IDS, control, lambda *_: None)
        self._instruments = Instruments(0)
        self.per_service = PerService()
        self._signals = SignalStage(
            shard,
            lambda: 10**18,
            make_sampler(),
            Routes(limit=limit),
            Redaction(),
            RequestMetrics(self._instruments),
            self.spans.append,
            self._likenesses.clear,
            per_service=self.per_service,
        )
        self._intake = Intake(
            shard,
            self._services,
            watch,
            control,
            self._likenesses,
            self._protocols,
            self._signals,
            OwnTraces(),
        )

    def take(self, *records: Exchange) -> int:
        """Take records, each in a batch of its own; return how many were known again."""
        again = 0
        for record in records:
            if not self.short:
                self._likenesses.clear()
            self.ring.payloads = (packed(record),)
            again += len(self._likenesses.sort(*self.ring.read(0))[0])
            assert self._take_batch() == 1
        return again

    def kinds(self) -> list[int]:
        return [one.template.kind for one in self.spans]

    def outcome(self) -> tuple[list[tuple[Any, ...]], list[int], Any]:
        """All that can be seen of what became of the records."""
        spans = [
            (dict(one.attributes), one.template.name, one.template.kind, *one[1:8]) for one in self.spans
        ]
        counts = self.ledger.totals()
        instruments = self._instruments.collect(2).instruments
        return (
            spans,
            counts,
            [(one.name, [(p.attributes, p.value) for p in points]) for one, points in instruments],
        )


def assert_same(records: Sequence[Exchange]) -> int:
    """Take records the short way and the long way; return how often the short way was short."""
    short, long = Way(), Way(short=False)
    again = short.take(*records)
    assert long.take(*records) == 0
    assert short.outcome() == long.outcome()
    return again


def test_the_second_is_known_again() -> None:
    assert assert_same([followed(), followed(), followed(time=5000, response_end=9000)]) == 2


def test_ids_times_sizes_and_the_client_are_its_own() -> None:
    other = followed(
        time=70_000, response_end=90_000, client_port=50_001, client_address=b"\x7f\0\0\x09" + bytes(12),
        trace_id=b"N" * 16, span_id=b"M" * 8, response_bytes=4000,
    )  # fmt: skip
    assert assert_same([followed(), other]) == 1


def test_the_network_s_part_is_its_own() -> None:
    first = followed(response_start=1200, rtt=250, rtt_min=90, waited=7000)
    other = first._replace(response_start=1900, rtt=300, retransmits=2, waited=9000)
    assert assert_same([first, other]) == 1
    way = Way()
    way.take(first, other)
    assert [one.network for one in way.spans] == [
        (250, 90, 200, 7000, 0, 0, 0),
        (300, 90, 900, 9000, 2, 0, 0),
    ]


def test_the_wait_to_be_accepted_is_its_own() -> None:
    first = followed(flags=int(Capture.CONNECTED), connect_start=200, connect_end=1_500_200, waited=1600)
    other = first._replace(connection=5, connect_start=300, connect_end=2_000_300)
    assert assert_same([first, other, followed(), other]) == 2
    way = Way()
    way.take(first, other)
    assert [one.network[-1] for one in way.spans if one.network] == [1_500_000, 2_000_000]


def test_the_first_exchange_of_a_connection_that_was_made_is_always_read() -> None:
    first = followed(role=CLIENT, flags=int(Capture.CONNECTED), connect_start=200, connect_end=500)
    every = [first, first._replace(connection=5), followed(role=CLIENT), followed(role=CLIENT)]
    short, long = Way(), Way(short=False)
    assert short.take(*every) == 1
    assert long.take(*every) == 0
    assert short.kinds() == long.kinds() == [3, 1, 3, 1, 3, 3]
    assert short.ledger.totals() == long.ledger.totals()


def test_a_trace_context_is_its_own() -> None:
    def traced(number: int) -> Exchange:
        trace, parent = number.to_bytes(16, "big"), number.to_bytes(8, "big")
        request = TRACED % (trace.hex().encode(), parent.hex().encode())
        facts = {"trace_id": trace, "parent_id": parent, "trace_flags": 1}
        return followed(request, source=ContextSource.HEADER, **facts)

    assert assert_same([traced(number) for number in range(1, 5)]) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 500},
        {"flags": Capture.OLD},
        {"end": End.CHUNK},
        {"end": End.FIN},
        {"error": 104},
        {"role": CLIENT},
        {"lost": 3},
        {"request": GET.replace(b"/a", b"/b")},
        {"source": ContextSource.NONE},
        {"request_head": 0},
        {"path": b"/run/x", "path_captured": 6},
    ],
    ids=str,
)
def test_what_is_not_alike_is_read(changes: dict[str, Any]) -> None:
    facts = dict(changes)
    assert assert_same([followed(), followed(facts.pop("request", GET), **facts)]) == 0


def test_of_a_chunked_response_each_is_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    assert assert_same([followed(response=chunked, end=End.CHUNK)] * 3) == 0


@pytest.mark.parametrize(
    ("fields", "again"),
    [(b"Content-Length: 4\r\n", True), (b"Transfer-Encoding: chunked\r\n", False), (b"", True)],
)
@pytest.mark.parametrize("passed", [0, 2, 4, 9])
def test_the_request_s_body_is_what_came_of_it(fields: bytes, again: bool, passed: int) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: shop\r\n" + fields + b"\r\n"
    first, second = followed(head), followed(head, request_bytes=len(head) + passed)
    assert assert_same([first, second]) == again


def test_an_oddly_written_context_is_never_known_again() -> None:
    request = TRACED.replace(b"traceparent: ", b"TraceParent:") % (b"1" * 32, b"2" * 16)
    way = Way()
    assert way.take(*[followed(request, source=ContextSource.HEADER)] * 3) == 0
    assert not way._likenesses.known


def test_routes_that_are_learned_anew_are_not_what_was_known() -> None:
    def asked(name: str) -> Exchange:
        return followed(GET.replace(b"/a", b"/users/" + name.encode()))

    crowd = [asked(f"{first}{second}x") for first in "abc" for second in "abcdefghijklmnopqrstuvwxyz"]
    every = [asked("anna"), asked("anna"), *crowd, asked("anna"), asked("anna")]
    assert_same(every)
    way = Way()
    way.take(*every)
    assert (way.spans[1].template.name, way.spans[-1].template.name) == (
        "GET /users/anna",
        "GET /users/{param}",
    )


def test_what_a_tls_handshake_settled_is_no_other_s() -> None:
    def encrypted(version: int) -> Exchange:
        return followed(flags=int(Capture.TLS), tls=tls(version))

    assert assert_same([encrypted(0x0303), encrypted(0x0304), encrypted(0x0303), followed()]) == 1


def shaken(first: Exchange, name: str | None = None) -> Exchange:
    """Return the handshake before the first exchange of a connection."""
    hello = client_hello(name)
    return first._replace(
        kind=int(Kind.HANDSHAKE), end=int(End.NONE), request=hello, request_captured=len(hello),
        response=b"", response_captured=0,
    )  # fmt: skip


def test_the_first_exchange_behind_a_handshake_is_always_read() -> None:
    first = followed(role=CLIENT, flags=int(Capture.TLS | Capture.FIRST), tls=tls())
    assert assert_same([first, first]) == 0
    handshake = shaken(first)
    later = first._replace(flags=int(Capture.TLS))
    every: list[Exchange] = []
    for number in range(3):
        every += [one._replace(connection=number) for one in (handshake, first, later, later)]
    short, long = Way(), Way(short=False)
    again = short.take(*every)
    assert again == 5
    assert long.take(*every) == 0
    assert short.kinds() == long.kinds() == [3, 1, 3, 3] * 3
    assert short.ledger.totals() == long.ledger.totals()
    assert short.ledger.totals()[Entry.SIGNAL_HANDSHAKE_SPAN] == 3


def test_connections_to_other_names_are_not_alike() -> None:
    first = followed(role=CLIENT, flags=int(Capture.TLS | Capture.FIRST), tls=tls())
    same, other = first._replace(connection=1), first._replace(connection=2)
    laters = [one._replace(flags=int(Capture.TLS)) for one in (same, same, other, same, other)]
    every = [shaken(same, "shop"), same, *laters[:2], shaken(other, "other.example"), other, *laters]
    short, long = Way(), Way(short=False)
    assert short.take(*every) == 1
    assert long.take(*every) == 0
    servers = [
        [dict(one.attributes)["server.address"] for one in way.spans if one.template.kind == 3]
        for way in (short, long)
    ]
    assert servers[0] == servers[1]
    assert servers[0][-5:] == ["shop", "shop", "other.example", "shop", "other.example"]


def test_behind_the_notice_of_a_process_nothing_is_known() -> None:
    way = Way()
    way.take(followed(), followed())
    notice = packed(followed()._replace(kind=int(Kind.PROCESS)))
    way.ring.payloads = (packed(followed()), notice, packed(followed()))
    alike, others = way._likenesses.sort(*way.ring.read(0))
    assert len(alike) == 1
    assert [bool(likeness) for _, _, likeness in others] == [False, True]


def test_a_likeness_is_kept_in_bounded_memory() -> None:
    known = Likenesses()
    for number in range(1, CAPACITY + 10):
        known.keep(number, "made")
    assert 0 < len(known.known) <= CAPACITY
    known.keep(0, "of what can be like no other")
    assert 0 not in known.known


def test_a_record_that_is_cut_off_is_malformed() -> None:
    way = Way()
    way.take(followed())
    whole = packed(followed())
    for size in range(len(whole)):
        way.ring.payloads = (whole[:size],)
        way._take_batch()
    totals = way.ledger.totals()
    heads = len(GET)
    assert totals[Entry.READER_MALFORMED] + totals[Entry.READER_EXCHANGE] == 1 + len(whole)
    assert totals[Entry.READER_EXCHANGE] <= 1 + len(whole) - EXCHANGE.size - heads


requests = st.sampled_from(
    [GET, GET.replace(b"/a", b"/users/7?q=1"), b"POST /b HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"]
)
records = st.builds(
    followed,
    requests,
    st.sampled_from([OK, b"HTTP/1.1 204 No Content\r\n\r\n"]),
    end=st.sampled_from([End.LENGTH, End.LENGTH, End.CHUNK, End.TURN, End.RESET]),
    status=st.sampled_from([200, 404, 503, 0]),
    role=st.sampled_from([SERVER, CLIENT]),
    flags=st.sampled_from([0, 0, Capture.OLD, Capture.HTTP1, Capture.SERVER_FIRST]),
    lost=st.sampled_from([0, 0, 0, 2]),
    time=st.integers(1, 1 << 50),
    response_end=st.integers(0, 1 << 50),
    client_port=st.integers(0, 65535),
    source=st.sampled_from([ContextSource.ROOT, ContextSource.NONE]),
    response_bytes=st.integers(60, 1 << 40),
    response_start=st.integers(0, 1 << 50),
    waited=st.integers(0, 0xFFFFFFFF),
    rtt_min=st.sampled_from([0, 0, 90]),
    rtt=st.sampled_from([0, 1, 250, 0xFFFFFFFF]),
    retransmits=st.sampled_from([0, 0, 3]),
)


@given(st.lists(records, max_size=12))
def test_whatever_comes_both_ways_are_the_same(given_records: list[Exchange]) -> None:
    assert_same(given_records)


def test_what_holds_for_a_service_alone_holds_for_what_is_known_again() -> None:
    """Its routes once they are told of, and at once whether there are spans, metrics, and which."""
    way = Way()
    way.take(followed(), followed())
    way.per_service.routes[SHOP] = RouteRules([Rule(None, ["/{one}"])])
    way._signals.renew(SHOP)
    assert way.take(followed(), followed()) == 1
    assert [span.template.name for span in way.spans[2:]] == ["GET /{one}"] * 2
    way.per_service.samplers[SHOP] = AlwaysOff().sample
    assert way.take(followed()) == 1
    assert way.ledger.totals()[Entry.SIGNAL_UNSAMPLED] == 1
    way.per_service.untraced.add(SHOP)
    way.per_service.unmeasured.add(SHOP)
    before = way.ledger.totals()[Entry.SIGNAL_AGGREGATED]
    assert way.take(followed()) == 1
    assert way.ledger.totals()[Entry.SIGNAL_SPANS_OFF] == 1
    assert way.ledger.totals()[Entry.SIGNAL_AGGREGATED] == before
    assert len(way.spans) == 4
