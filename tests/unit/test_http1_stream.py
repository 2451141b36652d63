"""HTTP/1 in stream mode: pairing, pieces, holes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols_support import CONNECTION, IDS, Script, cut, exchange, piece

from otel_ebpf.kernel.records import ContextSource, Direction, End, Piece, Role
from otel_ebpf.protocols.base import Stream
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.http1 import Http1

MS = 1_000_000
LENGTH = b"Content-Length: %d\r\n\r\n"


def stream() -> Stream:
    return Http1().stream(IDS)


def get(path: bytes, method: bytes = b"GET") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\nHost: shop\r\n\r\n"


def reply(body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + LENGTH % len(body) + body


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def run(state: Stream, pieces: Iterable[Piece]) -> list[Call]:
    return [call for each in pieces for call in state.feed(each)]


def brief(calls: Sequence[Call]) -> list[tuple[str, int, int]]:
    return [(call.value.request.path, call.value.status, call.value.response_body) for call in calls]


# ---- pairing ----


def test_three_gets_in_one_send_are_three_calls() -> None:
    state, script = stream(), Script()
    calls = run(state, [script.ask(get(b"/1") + get(b"/2") + get(b"/3"))])
    assert (calls, state.open) == ([], 3)
    calls = run(state, [script.answer(reply(b"a") + reply(b"bb", b"404 No")), script.answer(reply(b"ccc"))])
    assert brief(calls) == [("/1", 200, 1), ("/2", 404, 2), ("/3", 200, 3)]
    assert [(call.start, call.response_start, call.end) for call in calls] == [
        (1000, 1100, 1100),
        (1000, 1100, 1100),
        (1000, 1200, 1200),
    ]
    assert (state.open, state.unparsed, state.held) == (0, 0, 0)


def test_ids_are_of_the_request_s_first_byte() -> None:
    state, script = stream(), Script()
    first, second = get(b"/1"), get(b"/2")
    calls = run(state, [script.ask(first + second), script.answer(reply() + reply())])
    for call, offset in zip(calls, (1, 1 + len(first)), strict=True):
        assert (call.trace_id, call.span_id) == IDS.of(CONNECTION, offset, Role.SERVER)
        assert (call.context_source, call.parent_id) == (ContextSource.ROOT, bytes(8))


def test_a_traceparent_names_its_own_request_only() -> None:
    state, script = stream(), Script()
    header = (
        b"GET /1 HTTP/1.1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
    )
    one, two = run(state, [script.ask(header + get(b"/2")), script.answer(reply() + reply())])
    assert (one.trace_id.hex(), one.parent_id.hex()) == (
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
    )
    assert (one.trace_flags, one.context_source) == (1, ContextSource.HEADER)
    assert one.span_id == IDS.of(CONNECTION, 1, Role.SERVER)[1]
    assert two.context_source == ContextSource.ROOT


def test_batches_of_sixteen() -> None:
    state, script = stream(), Script()
    calls: list[Call] = []
    for _ in range(20):
        calls += run(state, [script.ask(get(b"/") * 16), script.answer(reply(b"x") * 16)])
    assert len(calls) == 320
    assert (state.open, state.unparsed) == (0, 0)


def test_a_response_that_overtakes_its_request() -> None:
    state, script = stream(), Script()
    asks = [script.ask(get(b"/1")), script.ask(get(b"/2"))]
    answers = [script.answer(reply(b"a")), script.answer(reply(b"bb"))]
    assert run(state, [answers[0]]) == []
    assert state.undecided
    assert brief(run(state, [asks[0]])) == [("/1", 200, 1)]
    assert brief(run(state, [answers[1], asks[1]])) == [("/2", 200, 2)]
    assert (state.unparsed, state.undecided) == (0, False)


def test_half_of_an_answer_overtakes() -> None:
    state, script = stream(), Script()
    one, two = script.ask(get(b"/1")), script.ask(get(b"/2"))
    both = script.answer(reply(b"a") + reply(b"bb"))
    assert brief(run(state, [one, both])) == [("/1", 200, 1)]
    assert brief(run(state, [two])) == [("/2", 200, 2)]


def test_answers_to_nothing_are_counted_and_bounded() -> None:
    state, script = stream(), Script()
    assert run(state, [script.answer(reply()) for _ in range(100)]) == []
    assert state.unparsed == 100 - 32
    assert run(state, [script.ask(get(b"/1"))]) != []  # no loss is known: the oldest held one is its answer


def test_head_and_interim_and_bodiless_responses() -> None:
    state, script = stream(), Script()
    asks = get(b"/h", b"HEAD") + get(b"/304") + get(b"/204") + get(b"/100") + get(b"/last")
    answers = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\n\r\n"
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
    ) + reply(b"x")
    calls = run(state, [script.ask(asks), script.answer(answers), script.answer(reply(b"yy"))])
    assert brief(calls) == [
        ("/h", 200, 0),
        ("/304", 304, 0),
        ("/204", 204, 0),
        ("/100", 200, 1),
        ("/last", 200, 2),
    ]


def test_the_response_starts_with_the_final_head() -> None:
    state, script = stream(), Script()
    pieces = [script.ask(get(b"/")), script.answer(b"HTTP/1.1 100 Continue\r\n\r\n"), script.answer(reply())]
    (call,) = run(state, pieces)
    assert (call.start, call.response_start, call.end) == (1000, 1200, 1200)


def test_request_bodies_are_passed_over() -> None:
    state, script = stream(), Script()
    post = b"POST /p HTTP/1.1\r\n" + LENGTH % 40
    body = get(b"/not-a-request")[:40].ljust(40)
    chunks = b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nT: x\r\n\r\n"
    asks = [script.ask(post + body[:7]), script.ask(body[7:] + chunks + get(b"/g"))]
    calls = run(state, [*asks, script.answer(reply() * 3)])
    assert [(call.value.request.method, call.value.request_body) for call in calls] == [
        ("POST", 40),
        ("PUT", 5),
        ("GET", 0),
    ]


def test_a_refused_expectation() -> None:
    state, script = stream(), Script()
    put = b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\n" + LENGTH % 9999
    pieces = [
        script.ask(put),
        script.answer(reply(b"", b"417 No")),
        script.ask(get(b"/next")),
        script.answer(reply()),
    ]
    assert brief(run(state, pieces)) == [("/", 417, 0), ("/next", 200, 0)]
    assert state.unparsed == 0


# ---- what was not captured ----


def test_bodies_longer_than_the_capture() -> None:
    state, script = stream(), Script()
    post = b"POST /p HTTP/1.1\r\n" + LENGTH % 100_000
    answer = b"HTTP/1.1 200 OK\r\n" + LENGTH % 1_000_000
    pieces = [
        script.ask(post + b"x" * 500, length=len(post) + 50_000),
        script.ask(b"y" * 1000, length=50_000),
        script.answer(answer + b"z" * 100, length=len(answer) + 400_000),
        script.answer(b"HTTP/1.1 999 part of the body", length=600_000),
        script.ask(get(b"/next")),
        script.answer(reply(b"!")),
    ]
    calls = run(state, pieces)
    assert [(call.value.request_body, call.value.response_body) for call in calls] == [
        (100_000, 1_000_000),
        (0, 1),
    ]


def test_chunks_longer_than_the_capture() -> None:
    state, script = stream(), Script()
    whole = chunked(b"x" * 5000)
    where = len(whole) - 5
    pieces = [script.ask(get(b"/c")), script.answer(whole[:256], length=where), script.answer(whole[where:])]
    (call,) = run(state, pieces)
    assert (call.value.response_body, call.how, call.end) == (5000, End.CHUNK, 1200)


def test_a_chunk_s_size_behind_the_capture_is_found_again() -> None:
    state, script = stream(), Script()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n"
    pieces = [
        script.ask(get(b"/c")),
        script.answer(head + b"x" * 16, length=len(head) + 500),  # another chunk's line is hidden
        script.answer(b"64\r\n" + b"y" * 100 + b"\r\n"),
        script.answer(b"0\r\n\r\n"),
        script.ask(get(b"/next")),
        script.answer(reply()),
    ]
    calls = run(state, pieces)
    assert brief(calls) == [("/c", 200, -1), ("/next", 200, 0)]
    assert (calls[0].how, calls[0].end) == (End.CHUNK, 1300)


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
def test_a_response_head_longer_than_the_capture(role: Role) -> None:
    state, script = stream(), Script(role)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: " + b"c" * 300 + b"\r\n\r\nabc"
    calls = run(state, [script.ask(get(b"/1")), script.answer(answer[:256], length=len(answer))])
    assert (calls, state.undecided) == ([], True)
    calls = run(state, [script.ask(get(b"/2"))])  # the requester speaks again
    assert brief(calls) == [("/1", 200, 3)]
    assert (calls[0].how, calls[0].end) == (End.TURN, 1100)
    assert brief(run(state, [script.answer(reply(b"x"))])) == [("/2", 200, 1)]


def test_silence_ends_what_has_no_known_end() -> None:
    state, script = stream(), Script()
    answer = b"HTTP/1.1 200 OK\r\nX: " + b"c" * 300
    run(state, [script.ask(get(b"/1")), script.answer(answer[:256], length=500)])
    assert state.expire(1100 + 200 * MS) == ()
    (call,) = state.expire(1100 + 300 * MS)
    assert (call.value.request.path, call.how, call.end) == ("/1", End.IDLE, 1100)
    assert not state.undecided


def test_silence_does_not_end_a_body_that_is_due() -> None:
    state, script = stream(), Script()
    run(state, [script.ask(get(b"/sse")), script.answer(chunked(b"data: 1\n\n")[:-5])])
    assert state.expire(1100 + 60_000 * MS) == ()
    assert brief(run(state, [script.answer(b"3\r\nabc\r\n0\r\n\r\n")])) == [("/sse", 200, 12)]


def test_a_request_head_longer_than_the_capture() -> None:
    state, script = stream(), Script()
    ask = b"GET /1 HTTP/1.1\r\nHost: shop\r\nCookie: " + b"c" * 2000 + b"\r\n\r\n"
    pieces = [
        script.ask(ask[:1024], length=len(ask)),
        script.answer(reply()),
        script.ask(get(b"/2")),
        script.answer(reply()),
    ]
    calls = run(state, pieces)
    assert brief(calls) == [("/1", 200, 0), ("/2", 200, 0)]
    assert (calls[0].value.request.host, calls[0].value.request_body) == ("shop", -1)


def test_requests_behind_the_capture_are_counted_by_their_answers() -> None:
    state, script = stream(), Script()
    batch = get(b"/") * 16
    captured = len(get(b"/")) * 10
    for _ in range(3):
        calls = run(
            state,
            [script.ask(batch[:captured], length=len(batch)), *(script.answer(reply()) for _ in range(16))],
        )
        assert len(calls) == 10
    run(state, [script.ask(get(b"/end"))])
    assert brief(run(state, [script.answer(reply())])) == [("/end", 200, 0)]
    assert state.unparsed == 3 * 6


def test_responses_behind_the_capture_are_counted_by_their_requests() -> None:
    state, script = stream(), Script(Role.CLIENT)
    made = 0
    for _ in range(3):
        answers = reply(b"x" * 100) * 16
        first = 256
        made += len(
            run(state, [script.ask(get(b"/") * 16), script.answer(answers[:first], length=len(answers))])
        )
    assert made + state.unparsed == 48
    assert made == 6
    assert (list(state.close(End.FIN, 0)), state.unparsed) == ([], 42)


# ---- pieces that were lost ----


def test_a_lost_request_costs_itself_alone() -> None:
    state, script = stream(), Script()
    calls = run(state, [script.ask(get(b"/1")), script.answer(reply(b"a"))])
    script.ask(get(b"/lost"))
    calls += run(
        state, [script.answer(reply(b"bb"), lost=1), script.ask(get(b"/3")), script.answer(reply(b"ccc"))]
    )
    assert brief(calls) == [("/1", 200, 1), ("/3", 200, 3)]
    assert state.unparsed == 1


def test_a_lost_response_costs_itself_alone() -> None:
    state, script = stream(), Script()
    calls = run(state, [script.ask(get(b"/1")), script.answer(reply(b"a")), script.ask(get(b"/2"))])
    script.answer(reply(b"bb"))
    calls += run(state, [script.ask(get(b"/3"), lost=1), script.answer(reply(b"ccc"))])
    assert brief(calls) == [("/1", 200, 1), ("/3", 200, 3)]
    assert state.unparsed == 1


def test_a_lost_piece_of_a_sized_body_costs_nothing() -> None:
    state, script = stream(), Script()
    answer = reply(b"x" * 3000)
    run(state, [script.ask(get(b"/1")), script.answer(answer[:1000])])
    script.answer(answer[1000:2000])
    calls = run(state, [script.answer(answer[2000:], lost=1)])
    assert brief(calls) == [("/1", 200, 3000)]
    assert state.unparsed == 0


def test_the_lost_end_of_a_sized_body_ends_the_call() -> None:
    state, script = stream(), Script()
    answer = reply(b"x" * 3000)
    run(state, [script.ask(get(b"/1") + get(b"/2")), script.answer(answer[:1000])])
    script.answer(answer[1000:])
    calls = run(state, [script.answer(reply(b"y"), lost=1)])
    assert brief(calls) == [("/1", 200, 3000), ("/2", 200, 1)]


def test_a_hole_among_several_answers_is_not_guessed_over() -> None:
    state, script = stream(), Script()
    run(state, [script.ask(get(b"/") * 4), script.answer(reply(b"a"))])
    script.answer(reply(b"b"))
    calls = run(state, [script.answer(reply(b"c"), lost=1), script.answer(reply(b"d"))])
    assert (calls, state.unparsed) == ([], 3)
    assert brief(run(state, [script.ask(get(b"/n")), script.answer(reply(b"e"))])) == [("/n", 200, 1)]
    assert state.unparsed == 3


def test_a_lost_batch() -> None:
    state, script = stream(), Script()
    run(state, [script.ask(get(b"/") * 4), script.answer(reply() * 4)])
    script.ask(get(b"/") * 4)
    calls = run(
        state, [script.answer(reply() * 4, lost=1), script.ask(get(b"/n") * 4), script.answer(reply() * 4)]
    )
    assert [call.value.request.path for call in calls] == ["/n"] * 4
    assert state.unparsed == 4


def test_pieces_that_come_twice_count_once() -> None:
    state, script = stream(), Script()
    ask, answer = script.ask(get(b"/1")), script.answer(reply(b"abc"))
    assert brief(run(state, [ask, ask, answer, answer])) == [("/1", 200, 3)]
    overlap = piece(
        answer.data[-2:] + reply(b"x"), Direction.RESPONSE, answer.offset + answer.length - 2, time=3000
    )
    assert brief(run(state, [script.ask(get(b"/2")), overlap])) == [("/2", 200, 1)]
    assert state.unparsed == 0


def test_a_connection_that_is_older_than_its_first_piece() -> None:
    state, script = stream(), Script()
    pieces = [
        script.ask(b"the end of a body"),
        script.answer(b"of another one"),
        script.answer(b"and more"),
        script.ask(get(b"/1")),
        script.answer(reply(b"x")),
    ]
    assert brief(run(state, pieces)) == [("/1", 200, 1)]
    assert state.unparsed == 0


def test_garbage_between_messages_is_counted_once_and_left_behind() -> None:
    state, script = stream(), Script()
    pieces = [
        script.ask(get(b"/1")),
        script.answer(reply()),
        script.ask(b"\x00\x01garbage\r\n\r\n"),
        script.ask(b"more"),
        script.ask(get(b"/2")),
        script.answer(reply()),
    ]
    assert brief(run(state, pieces)) == [("/1", 200, 0), ("/2", 200, 0)]
    assert state.unparsed == 1


# ---- ends ----


def test_a_body_until_close() -> None:
    state, script = stream(), Script()
    assert (
        run(
            state,
            [script.ask(get(b"/")), script.answer(b"HTTP/1.0 200 OK\r\n\r\nabc"), script.answer(b"def")],
        )
        == []
    )
    assert state.expire(10**12) == ()
    (call,) = state.close(End.FIN, 0)
    assert (call.value.response_body, call.how, call.end) == (6, End.FIN, 1200)


def test_what_is_open_at_the_end_is_unanswered() -> None:
    state, script = stream(), Script()
    calls = run(state, [script.ask(get(b"/1") + get(b"/2")), script.answer(reply())])
    calls += state.close(End.RESET, 104)
    assert brief(calls) == [("/1", 200, 0), ("/2", 0, 0)]
    assert (calls[1].how, calls[1].error, calls[1].end, calls[1].response_start) == (End.RESET, 104, 1000, 0)
    assert state.unparsed == 0


def test_a_reset_in_the_middle_of_a_body_has_its_declared_size() -> None:
    state, script = stream(), Script()
    run(state, [script.ask(get(b"/1")), script.answer(reply(b"x" * 500)[:100])])
    (call,) = state.close(End.RESET, 104)
    assert (call.value.status, call.value.response_body, call.how) == (200, 500, End.RESET)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (get(b"/ws"), b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n"),
    ],
)
def test_an_upgrade_is_one_call_and_the_end(ask: bytes, answer: bytes) -> None:
    state, script = stream(), Script()
    calls = run(state, [script.ask(ask), script.answer(answer + b"\x81\x05hello"), script.ask(b"\x81\x85")])
    assert [(call.how, call.value.response_body) for call in calls] == [(End.UPGRADE, 0)]
    assert state.finished
    assert (list(state.close(End.FIN, 0)), state.unparsed) == ([], 0)


def test_memory_is_bounded() -> None:
    state, script = stream(), Script()
    run(state, [script.ask(get(b"/")) for _ in range(5000)])
    assert state.open <= 1024
    assert state.unparsed + state.open == 5000
    state, script = stream(), Script()
    for _ in range(3000):
        run(state, [script.ask(b"GET / HTTP/1.1\r\nX: " if not state.held else b"x" * 100)])
        assert state.held < 2048 + 8192 + 200
    assert state.open == 1


# ---- the same, however it is cut ----

SCENARIOS = {
    "plain": (get(b"/a?b"), reply(b"hello")),
    "post": (
        b"POST /p HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\n" + LENGTH % 5 + b"12345",
        reply(b"", b"404 No"),
    ),
    "chunked": (
        b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        chunked(b"x", b"yy"),
    ),
    "interim": (get(b"/i"), b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"z")),
    "head": (get(b"/h", b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    "bare": (
        b"GET /n HTTP/1.0\nHost: h\nX-Forwarded-For: 1.1.1.1\n\n",
        b"HTTP/1.0 200 OK\nContent-Length: 1\n\nx",
    ),
    "folded": (b"GET /f HTTP/1.1\r\nUser-Agent: a\r\n b\r\n\r\n", reply(b"q")),
    "absolute": (b"GET http://u:p@h:80/x?y HTTP/1.1\r\nHost: other\r\n\r\n", b"HTTP/1.1 204 N\r\n\r\n"),
    "asterisk": (get(b"*", b"OPTIONS"), reply()),
}
ENDS = {"chunked": End.CHUNK}


@pytest.mark.parametrize("name", SCENARIOS)
def test_stream_and_exchange_mode_agree(name: str) -> None:
    ask, answer = SCENARIOS[name]
    whole = Http1().parse(exchange(ask, answer, end=ENDS.get(name, End.LENGTH)))
    script = Script()
    (call,) = run(stream(), [script.ask(ask), script.answer(answer)])
    assert whole is not None
    assert call.value == whole.value
    assert call.how == whole.how


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nbody", End.FIN),
        (b"HTTP/1.1 200 OK\r\n\r\nbody", End.RESET),
        (b"", End.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbody", End.RESET),
        (b"HTTP/1.1 100 C\r\n\r\n", End.FIN),
    ],
)
def test_stream_and_exchange_mode_agree_on_a_connection_that_ends(answer: bytes, how: End) -> None:
    ask = b"POST / HTTP/1.1\r\nHost: h\r\n" + LENGTH % 10 + b"12345"
    whole = Http1().parse(exchange(ask, answer, end=how, error=1))
    state, script = stream(), Script()
    run(state, [script.ask(ask), *([script.answer(answer)] if answer else [])])
    (call,) = state.close(how, 1)
    assert whole is not None
    assert (call.value, call.how, call.error) == (whole.value, whole.how, whole.error)


ALL_ASKED = b"".join(ask for ask, _ in SCENARIOS.values())
ALL_ANSWERED = b"".join(answer for _, answer in SCENARIOS.values())


def plain_values(asks: list[bytes], answers: list[bytes]) -> list[object]:
    state, script = stream(), Script()
    calls = run(state, [script.ask(part) for part in asks] + [script.answer(part) for part in answers])
    assert (state.unparsed, state.open) == (0, 0)
    return [(call.value, call.how, call.trace_id, call.span_id) for call in calls]


def test_every_split_of_every_exchange_reads_the_same() -> None:
    for ask, answer in SCENARIOS.values():
        whole = plain_values([ask], [answer])
        assert len(whole) == 1
        for place in range(1, len(ask)):
            assert plain_values(cut(ask, [place]), [answer]) == whole
        for place in range(1, len(answer)):
            assert plain_values([ask], cut(answer, [place])) == whole


def test_byte_by_byte_is_like_whole() -> None:
    whole = plain_values([ALL_ASKED], [ALL_ANSWERED])
    assert len(whole) == len(SCENARIOS)
    assert (
        plain_values(cut(ALL_ASKED, range(1, len(ALL_ASKED))), cut(ALL_ANSWERED, range(1, len(ALL_ANSWERED))))
        == whole
    )


@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(1, len(ALL_ASKED) - 1), max_size=8),
    st.sets(st.integers(1, len(ALL_ANSWERED) - 1), max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_cut_and_any_interleaving_reads_the_same(
    asked: set[int], answered: set[int], random: object
) -> None:
    script = Script()
    asks = [script.ask(part) for part in cut(ALL_ASKED, asked)]
    answers = [script.answer(part) for part in cut(ALL_ANSWERED, answered)]
    order = [0] * len(asks) + [1] * len(answers)
    random.shuffle(order)  # type: ignore[attr-defined]
    sources = [iter(asks), iter(answers)]
    state = stream()
    calls = run(state, [next(sources[side]) for side in order])
    assert [(call.value, call.how, call.trace_id, call.span_id) for call in calls] == plain_values(
        [ALL_ASKED], [ALL_ANSWERED]
    )
    assert state.unparsed == 0


FRAGMENTS = st.sampled_from(
    [
        get(b"/"),
        get(b"/", b"HEAD"),
        reply(b"abc"),
        chunked(b"x"),
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\r\n",
        b"0\r\n\r\n",
        b"Content-Length: 9\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"ffffffff\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"\0\xff",
        b"",
        b"a" * 2000,
    ]
)
WILD = st.builds(
    piece,
    st.one_of(FRAGMENTS, st.binary(max_size=60), st.lists(FRAGMENTS, max_size=4).map(b"".join)),
    st.integers(0, 1),
    st.one_of(st.integers(0, 400), st.integers(0, 2**64 - 1)),
    time=st.integers(0, 5000),
    length=st.one_of(st.none(), st.integers(0, 5000), st.integers(0, 2**32 - 1)),
    lost=st.integers(0, 3),
    role=st.sampled_from(Role),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(WILD, max_size=30), st.sampled_from(End), st.integers(0, 10**12))
def test_no_pieces_make_it_raise_or_hold_on(pieces: list[Piece], how: End, now: int) -> None:
    state = stream()
    calls: list[Call] = []
    before = 0
    for each in pieces:
        calls += state.feed(each)
        assert state.unparsed >= before
        before = state.unparsed
    calls += state.expire(now)
    calls += state.close(how, 0)
    assert state.finished or state.open == 0
    for call in calls:
        assert call.value.status == 0 or 100 <= call.value.status < 1000
        assert call.value.request_body >= -1
        assert call.value.response_body >= -1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.data())
def test_lost_records_never_pair_a_batch_wrongly(batches: list[int], data: st.DataObject) -> None:
    """Each request asks for its number and each answer says it: what is reported must agree."""
    state, script, number, calls, lost = stream(), Script(), 0, [], 0
    for size in batches:
        numbers = range(number, number + size)
        number += size
        parts = [(script.ask, b"".join(get(b"/%d" % each) for each in numbers))]
        parts += [(script.answer, reply(b"x" * each)) for each in numbers]
        for make, content in parts:
            made = make(content, lost=lost)
            if data.draw(st.integers(0, 9)) == 0:
                lost += 1
            else:
                lost = 0
                calls += state.feed(made)
    calls += state.close(End.FIN, 0)
    for call in calls:
        assert call.value.status == 0 or call.value.request.path == f"/{call.value.response_body}"


def test_an_answer_that_cannot_be_read_costs_its_request() -> None:
    state, script = stream(), Script()
    pieces = [
        script.ask(get(b"/1")),
        script.answer(reply()),
        script.ask(get(b"/2")),
        script.answer(b"\x00\x01\r\n\r\n"),
        script.ask(get(b"/3")),
        script.answer(reply()),
    ]
    assert brief(run(state, pieces)) == [("/1", 200, 0), ("/3", 200, 0)]
    assert (state.unparsed, state.open) == (1, 0)


def test_answers_to_requests_that_were_given_up_are_not_counted_again() -> None:
    state, script = stream(), Script()
    run(state, [script.ask(get(b"/") * 4), script.answer(reply())])
    script.answer(reply())
    run(state, [script.answer(reply(), lost=1), *(script.answer(reply()) for _ in range(4))])
    state.close(End.FIN, 0)
    assert state.unparsed == 3 + 2  # three requests, and of five answers the two that are nobody's


@pytest.mark.parametrize(("end", "count"), [(b"GET / HT", 1), (b"GET / HTTP/1.1\r\nHo", 0)])
def test_a_head_that_is_never_completed(end: bytes, count: int) -> None:
    state, script = stream(), Script()
    run(state, [script.ask(end)])
    calls = state.close(End.RESET, 104)
    assert (len(calls), state.unparsed) == (1 - count, count)


@pytest.mark.parametrize(("role", "paths"), [(Role.SERVER, ["/1", "/2"]), (Role.CLIENT, ["/1"])])
def test_what_a_client_receives_behind_the_capture_may_be_whole_answers(role: Role, paths: list[str]) -> None:
    state, script = stream(), Script(role)
    run(state, [script.ask(get(b"/1") + get(b"/2") + get(b"/3"))])
    head = b"HTTP/1.1 200 OK\r\nX: " + b"c" * 237
    calls = run(state, [script.answer(head, length=2000), script.answer(reply(b"x"))])
    assert [call.value.request.path for call in calls] == paths
    assert state.unparsed == (0 if role == Role.SERVER else 2)
