"""HTTP/1 in stream mode: which answer is to which request, and what ends both."""

from __future__ import annotations

import pytest
from http1_stream_support import LENGTH, brief, get, reply, run, stream
from protocols_support import CONNECTION, IDS, Script

from otel_ebpf.kernel.records import ContextSource, End, Role
from otel_ebpf.protocols.calls import Call


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
