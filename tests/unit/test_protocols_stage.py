"""The protocols stage: claims, the ledger, bounds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols_support import CONNECTION, IDS, Control, Script, close, exchange, piece

from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import Capture, ContextSource, End, Exchange, Piece, Role
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, Protocol, Stream
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.http1 import Http1
from otel_ebpf.protocols.http2 import PREFACE
from otel_ebpf.protocols.nothing import NoStream
from otel_ebpf.protocols.registry import PROTOCOLS
from otel_ebpf.protocols.stage import ProtocolStage

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REDIS = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SOCKET = 0x50C


class Bench:
    """A stage with everything around it in sight."""

    def __init__(self, maximum: int = 65536, protocols: Sequence[Protocol] = PROTOCOLS) -> None:
        self.shard = Shard()
        self.control = Control()
        self.unsupported: list[str] = []
        self.overheard: list[bytes] = []
        self.stage = ProtocolStage(
            self.shard,
            IDS,
            self.control,
            lambda record, name: self.unsupported.append(name),
            lambda record: self.overheard.append(
                record.data if isinstance(record, Piece) else record.request
            ),
            max_connections=maximum,
            protocols=protocols,
        )

    def __getitem__(self, name: str) -> int:
        return self.shard.counts[Entry["PROTOCOL_" + name]]

    @property
    def counted(self) -> dict[str, int]:
        return {
            entry.name[len("PROTOCOL_") :].lower(): self.shard.counts[entry]
            for entry in Entry
            if entry.name.startswith("PROTOCOL_") and self.shard.counts[entry]
        }


# ---- exchanges ----


def test_an_exchange_becomes_a_call() -> None:
    bench = Bench()
    call = bench.stage.exchange(exchange(GET, OK))
    assert call is not None
    assert (call.value.request.path, call.value.status) == ("/a", 200)
    assert bench.counted == {"passed": 1}


def test_ids_are_made_where_the_kernel_made_none() -> None:
    bench = Bench()
    call = bench.stage.exchange(exchange(GET, OK, source=ContextSource.NONE))
    assert call is not None
    assert (call.trace_id, call.span_id) == IDS.of(CONNECTION, 0, Role.SERVER)
    assert call.context_source == ContextSource.ROOT
    header = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
    call = bench.stage.exchange(exchange(GET[:-2] + header, OK, source=ContextSource.NONE))
    assert call is not None
    assert call.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert (call.span_id, call.context_source) == (
        IDS.of(CONNECTION, 0, Role.SERVER)[1],
        ContextSource.HEADER,
    )


def test_an_unanswered_request_on_a_fresh_connection() -> None:
    bench = Bench()
    call = bench.stage.exchange(exchange(GET, end=End.RESET))
    assert call is not None
    assert call.value.status == 0
    assert bench.counted == {"passed": 1}


@pytest.mark.parametrize("request_bytes", [b"GET /" + b"x" * 2000, b"GET", b"GET / HTTP/1.1", b"QUIT\r\n"])
def test_what_may_be_http_is_not_enough_without_an_answer(request_bytes: bytes) -> None:
    bench = Bench()
    assert bench.stage.exchange(exchange(request_bytes, end=End.RESET)) is None
    assert bench.counted == {"unknown": 1}


def test_a_third_unknown_exchange_in_a_row_gives_the_connection_up() -> None:
    bench = Bench()
    for count in range(1, 6):
        assert bench.stage.exchange(exchange(*REDIS)) is None
        assert bench["UNKNOWN"] == count
        assert bench.control.ignored == ([(SOCKET, CONNECTION)] if count >= 3 else [])


def test_a_connection_that_parsed_is_never_given_up() -> None:
    bench = Bench()
    for record in [exchange(*REDIS)] * 2 + [exchange(GET, OK)] + [exchange(*REDIS)] * 10:
        bench.stage.exchange(record)
    assert bench.control.ignored == []
    assert bench.counted == {"unknown": 2, "passed": 1, "unparsed": 10}


def test_both_ends_of_a_connection_are_judged_apart() -> None:
    bench = Bench()
    bench.stage.exchange(exchange(GET, OK, role=Role.SERVER))
    bench.stage.exchange(exchange(b"", OK, role=Role.CLIENT, flags=Capture.UNSEEN))
    assert bench.counted == {"passed": 1, "unknown": 1}


def test_unseen_bytes_on_a_claimed_connection_are_unparsed() -> None:
    bench = Bench()
    bench.stage.exchange(exchange(GET, OK))
    assert bench.stage.exchange(exchange(GET, OK, request_capture=0, flags=Capture.UNSEEN)) is None
    assert bench.stage.exchange(exchange(GET, OK, response_capture=0, flags=Capture.UNSEEN)) is None
    assert bench.counted == {"passed": 1, "unparsed": 2}


@pytest.mark.parametrize(("flags", "counted"), [(Capture.HTTP1, "passed"), (0, "unknown")])
def test_the_kernel_says_what_it_has_followed_before(flags: int, counted: str) -> None:
    bench = Bench()
    bench.stage.exchange(exchange(b"GET /a/path/that/bre", end=End.RESET, flags=flags))
    assert bench.counted == {counted: 1}


def test_what_the_kernel_has_followed_is_claimed_in_stream_mode_too() -> None:
    bench = Bench()
    followed = piece(GET, 0, 1)._replace(flags=int(Capture.HTTP1))
    answered = piece(OK, 1, 1)._replace(flags=int(Capture.HTTP1))
    assert not bench.stage.piece(followed)
    assert len(bench.stage.piece(answered)) == 1
    assert not bench.stage._claims.claimed, "the kernel says so in each record: nothing is to be remembered"


def test_a_server_that_speaks_first_is_not_http() -> None:
    bench = Bench()
    for _ in range(3):
        bench.stage.exchange(exchange(b"", b"220 mail ESMTP\r\n", flags=Capture.SERVER_FIRST))
    assert bench.counted == {"unknown": 3}
    assert len(bench.control.ignored) == 1


def test_http2_is_unsupported_and_said_once() -> None:
    bench = Bench()
    for _ in range(4):
        assert bench.stage.exchange(exchange(PREFACE, SETTINGS)) is None
    assert bench.counted == {"unsupported": 4}
    assert bench.unsupported == ["http2"]
    for _ in range(9):
        assert not bench.control.ignored[1:]
        assert bench.stage.piece(piece(b"x", 0, 100)) == ()
    assert bench.control.ignored == [(SOCKET, CONNECTION)], "once a few pieces have been listened to"
    assert bench.overheard == [PREFACE, *[b"x"] * 8]
    assert bench.counted == {"unsupported": 4, "stream_unsupported": 9}


def test_a_claim_ends_with_its_connection() -> None:
    bench = Bench()
    bench.stage.exchange(exchange(GET, OK, end=End.FIN))
    bench.stage.exchange(exchange(b"", OK))
    bench.stage.exchange(exchange(GET, OK))
    bench.stage.close(close())
    bench.stage.exchange(exchange(b"", OK))
    assert bench.counted == {"passed": 2, "unknown": 2}


def test_claims_are_bounded() -> None:
    bench = Bench(maximum=10)
    for number in range(100):
        bench.stage.exchange(exchange(GET, OK, connection=number))
        bench.stage.exchange(exchange(*REDIS, connection=1000 + number))
    assert bench.counted == {"passed": 100, "unknown": 100}
    claims = bench.stage._claims
    assert (len(claims.claimed), len(claims._misses)) == (10, 10)
    assert bench.stage.exchange(exchange(GET, OK, connection=0)) is not None


def test_an_amendment_is_counted() -> None:
    bench = Bench()
    bench.stage.amend(exchange(GET, OK))
    assert bench.counted == {"amended": 1}


# ---- pieces ----


def test_a_pipelined_connection() -> None:
    bench, script = Bench(), Script()
    assert bench.stage.piece(script.ask(GET * 3)) == ()
    assert len(bench.stage.piece(script.answer(OK))) == 1
    assert len(bench.stage.piece(script.answer(OK * 2))) == 2
    assert not bench.stage.close(close())
    assert bench.counted == {"stream_call": 3}


def test_pieces_before_the_evidence_are_not_lost() -> None:
    bench, script = Bench(), Script()
    pieces = [
        script.ask(GET[:3]),
        script.ask(GET[3:]),
        script.ask(GET),
        script.answer(OK[:5]),
        script.answer(OK[5:] + OK),
    ]
    calls = [call for each in pieces for call in bench.stage.piece(each)]
    assert [call.start for call in calls] == [1000, 1200]
    assert bench.counted == {"stream_call": 2}


def test_many_requests_before_the_first_answer() -> None:
    bench, script = Bench(), Script()
    for _ in range(100):
        bench.stage.piece(script.ask(GET))
    calls = [call for _ in range(100) for call in bench.stage.piece(script.answer(OK))]
    assert len(calls) == 100
    assert bench.counted == {"stream_call": 100}


def test_a_connection_in_exchange_mode_goes_over_to_stream_mode() -> None:
    bench, script = Bench(), Script()
    bench.stage.exchange(exchange(GET, OK))
    bench.stage.piece(script.ask(GET * 2))
    assert len(bench.stage.piece(script.answer(OK * 2))) == 2
    assert bench.counted == {"passed": 1, "stream_call": 2}


def test_unanswered_pipelined_requests_at_the_end() -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(GET * 3))
    calls = bench.stage.close(close(End.RESET, error=104))
    assert [(call.value.status, call.how, call.error) for call in calls] == [(0, End.RESET, 104)] * 3
    assert bench.counted == {"stream_call": 3}


def test_an_unknown_stream_is_given_up_and_every_piece_counted() -> None:
    bench, script = Bench(), Script()
    for count in range(10):
        bench.stage.piece(script.ask(b"\x00\x01\x02"))
        bench.stage.piece(script.answer(b"\x03\x04"))
        assert bench.control.ignored == ([(SOCKET, CONNECTION)] if count >= 1 else [])
    assert bench.counted == {"stream_unknown": 20}
    bench.stage.close(close())
    assert bench.counted == {"stream_unknown": 20}


def test_directions_that_contradict_each_other() -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(PREFACE))
    for _ in range(4):
        bench.stage.piece(script.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert bench.control.ignored == [(SOCKET, CONNECTION)]
    assert (bench.unsupported, bench.counted) == ([], {"stream_unknown": 5})


def test_messages_that_are_given_up_are_counted() -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(GET * 2))
    bench.stage.piece(script.answer(OK))
    bench.stage.piece(script.answer(b"\x00\x01\r\n\r\n"))
    assert bench.counted == {"stream_call": 1, "stream_unparsed": 1}


def test_an_answer_whose_request_never_comes() -> None:
    bench, script = Bench(), Script()
    bench.stage.exchange(exchange(GET, OK))
    bench.stage.piece(script.answer(OK))
    assert not bench.stage.expire(script.time)
    assert bench.counted == {"passed": 1}
    assert not bench.stage.expire(script.time + 2 * 10**9)
    assert bench.counted == {"passed": 1, "stream_unparsed": 1}
    assert bench.stage._streams._held == 0


def test_an_unknown_stream_that_ends_early() -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(b"hello"))
    assert bench.stage.close(close()) == ()
    assert bench.counted == {"stream_unknown": 1}


def test_a_stream_from_the_middle_of_a_body() -> None:
    bench, script = Bench(), Script()
    pieces = [
        script.answer(b"\x89PNG....."), script.answer(b"more of it"), script.ask(GET), script.answer(OK),
        script.ask(GET), script.answer(OK),
    ]  # fmt: skip
    calls = [call for each in pieces for call in bench.stage.piece(each)]
    assert len(calls) == 2
    assert bench.counted == {"stream_call": 2}


@pytest.mark.parametrize("answered", [True, False])
def test_http2_pieces(answered: bool) -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(PREFACE[:10]))
    bench.stage.piece(script.ask(PREFACE[10:]))
    if answered:
        bench.stage.piece(script.answer(SETTINGS))
        bench.stage.piece(script.ask(b"request"))
        assert bench.overheard == [PREFACE[:10], PREFACE[10:], SETTINGS, b"request"]
        assert not bench.control.ignored
    bench.stage.close(close())
    assert bench.unsupported == ["http2"]
    assert bench.counted == {"stream_unsupported": 4 if answered else 2}


def test_an_upgraded_connection_is_left_alone() -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(GET))
    (call,) = bench.stage.piece(script.answer(b"HTTP/1.1 101 Switching\r\n\r\n"))
    assert call.how == End.UPGRADE
    assert bench.control.ignored == [(SOCKET, CONNECTION)]
    bench.stage.piece(script.ask(b"\x81\x85"))
    assert bench.counted == {"stream_call": 1, "stream_unknown": 1}


def test_silence() -> None:
    bench, script = Bench(), Script()
    bench.stage.piece(script.ask(GET))
    bench.stage.piece(script.answer(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 235, length=900))
    assert bench.stage.expire(1100) == []
    (call,) = bench.stage.expire(10**9)
    assert (call.how, call.value.status) == (End.IDLE, 200)
    assert bench.stage.expire(10**10) == ()
    assert bench.counted == {"stream_call": 1}


def test_calls_in_progress_on_evicted_connections_are_counted() -> None:
    bench = Bench(maximum=10)
    for number in range(30):
        script = Script(connection=number)
        bench.stage.piece(script.ask(GET * 3))
        bench.stage.piece(script.answer(OK))
    assert bench.counted == {"stream_call": 30, "stream_evicted": 40}
    assert len(bench.stage._streams._states) == 10


def test_the_memory_of_all_connections_together_is_bounded() -> None:
    bench, total = Bench(), 0
    for number in range(60):
        script = Script(connection=number)
        bench.stage.piece(script.ask(GET * 1000))
        bench.stage.piece(script.answer(OK))
        total += 1000
    streams = bench.stage._streams
    kept = sum(getattr(state, "open", 0) for state in streams._states.values())
    assert streams._held <= 64 << 20
    assert streams._held == sum(state.held for state in streams._states.values())
    assert kept + bench["STREAM_CALL"] + bench["STREAM_EVICTED"] == total
    assert bench["STREAM_EVICTED"] > 0


# ---- other protocols ----


class Chatter:
    """A server-first, interleaved protocol, as one file and one registry line would add it."""

    name = "chatter"
    supported = True
    server_first = True
    followed = False
    interleaved = True

    def claim(self, request: bytes, response: bytes) -> Claim:
        return Claim.YES if response.startswith(b"HELLO") else Claim.NO

    def parse(self, record: Exchange) -> Call | None:
        return None

    def stream(self, ids: TraceIds) -> Stream:
        return NoStream()


def test_a_server_first_protocol_that_interleaves() -> None:
    bench = Bench(protocols=(Http1(), Chatter()))
    bench.stage.exchange(exchange(b"", b"HELLO 1.0\r\n", flags=Capture.SERVER_FIRST))
    assert bench.control.streamed == [(SOCKET, CONNECTION)]
    assert bench.counted == {"unparsed": 1}
    assert bench.stage.piece(piece(b"x", 0, 5)) == ()
    assert bench.counted == {"unparsed": 1}


# ---- the books ----

BYTES = st.one_of(
    st.sampled_from([GET, OK, PREFACE, SETTINGS, b"", b"G", b"HTTP/1.1 ", GET * 3, OK * 2, *REDIS]),
    st.binary(max_size=40),
)
EXCHANGES = st.builds(
    exchange,
    BYTES,
    BYTES,
    end=st.sampled_from(End),
    connection=st.integers(0, 3),
    role=st.sampled_from(Role),
    flags=st.integers(0, 127),
    request_capture=st.sampled_from([0, 5, 1024]),
    response_capture=st.sampled_from([0, 5, 256]),
    status=st.sampled_from([0, 100, 200, 65535]),
    source=st.sampled_from(ContextSource),
)
PIECES = st.builds(
    piece,
    BYTES,
    st.integers(0, 1),
    st.integers(0, 200),
    length=st.one_of(st.none(), st.integers(0, 2000)),
    time=st.integers(0, 5000),
    lost=st.integers(0, 2),
    role=st.sampled_from(Role),
    connection=st.integers(0, 3),
)
CLOSES = st.builds(close, st.sampled_from(End), role=st.sampled_from(Role), connection=st.integers(0, 3))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(EXCHANGES, PIECES, CLOSES), max_size=40), st.sampled_from([1, 2, 100]))
def test_the_books_balance_whatever_comes(records: list[Exchange | Piece], maximum: int) -> None:
    bench, passed, streamed = Bench(maximum), 0, 0
    for record in records:
        if isinstance(record, Exchange):
            passed += bench.stage.exchange(record) is not None
        elif isinstance(record, Piece):
            streamed += len(bench.stage.piece(record))
        else:
            streamed += len(bench.stage.close(record))
        streams = bench.stage._streams
        assert streams._held == sum(state.held for state in streams._states.values())
    streamed += len(bench.stage.expire(10**12))
    seen = sum(isinstance(record, Exchange) for record in records)
    assert seen == bench["PASSED"] + bench["UNKNOWN"] + bench["UNSUPPORTED"] + bench["UNPARSED"]
    assert (passed, streamed) == (bench["PASSED"], bench["STREAM_CALL"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 5)), max_size=20))
def test_every_pipelined_request_is_in_the_books(turns: list[tuple[int, int, int]]) -> None:
    bench, scripts, asked, owed = Bench(maximum=2), {}, 0, dict.fromkeys(range(4), 0)
    for connection, asks, answers in turns:
        script = scripts.setdefault(connection, Script(connection=connection))
        bench.stage.piece(script.ask(GET * asks))
        given = min(answers, owed[connection] + asks)
        if given:
            bench.stage.piece(script.answer(OK * given))
        owed[connection] += asks - given
        asked += asks
    for connection in range(4):
        bench.stage.close(close(connection=connection))
    assert (
        asked
        <= bench["STREAM_CALL"]
        + bench["STREAM_UNPARSED"]
        + bench["STREAM_EVICTED"]
        + bench["STREAM_UNKNOWN"] * 5
    )
    if len(scripts) <= 2:
        assert bench.counted == ({"stream_call": asked} if asked else {})
