"""HTTP/1 in stream mode, when not every byte was captured or arrived."""

from __future__ import annotations

import pytest
from http1_stream_support import LENGTH, MS, brief, chunked, get, reply, run, stream
from protocols_support import Script, piece

from otel_ebpf.kernel.records import Capture, Direction, End, Piece, Role
from otel_ebpf.kernel.wire import WRITTEN_BYTES


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


def test_positions_that_the_agent_s_own_bytes_have_moved() -> None:
    """Those stand in the first request, and are no loss: but once, for a second hole is one."""
    script = Script(Role.CLIENT)
    pieces = [script.ask(get(b"/1"))]
    script.offsets[Direction.REQUEST] += WRITTEN_BYTES
    pieces += [script.ask(get(b"/2")), script.answer(reply()), script.answer(reply())]

    def lossy(written: int, *more: Piece) -> bool:
        state = stream()
        marked = [each._replace(flags=each.flags | written) for each in (*pieces, *more)]
        assert brief(run(state, marked)) == [("/1", 200, 0), ("/2", 200, 0)]
        return bool(state._requests.lossy)  # type: ignore[attr-defined]

    assert lossy(0)
    assert not lossy(Capture.WRITTEN)
    script.offsets[Direction.REQUEST] += WRITTEN_BYTES
    assert lossy(Capture.WRITTEN, script.ask(get(b"/3")))
