"""HTTP/1 in stream mode: the same calls, however the bytes are cut into pieces."""

from __future__ import annotations

import pytest
from http1_stream_support import LENGTH, chunked, get, reply, run, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols_support import Script, cut, exchange, piece

from otel_ebpf.kernel.records import End, Piece, Role
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.http1 import Http1

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
