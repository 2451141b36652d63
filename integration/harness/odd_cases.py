"""Odd conversations: what each side says, and the spans that must come of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integration.harness.conversation import Steps, step
from integration.harness.limits import slack

OK = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
PART = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_HEAD = "HTTP/1.1 200 OK\r\n" + f"X-Pad: {'a' * 900}\r\n" * 10 + OK[17:]
"""Longer than the kernel follows a head: only silence tells that this response has ended."""
PAD = "X-Pad: " + "a" * 880 + "\r\n"  # what follows it stands 900 bytes into the head


def get(path: str, fields: str = "", method: str = "GET") -> str:
    """Return a request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: odd\r\n{fields}\r\n"


def post(path: str, body: str, fields: str = "") -> str:
    """Return a request with a body and its length."""
    return get(path, f"{fields}Content-Length: {len(body)}\r\n", "POST") + body


@dataclass(frozen=True)
class Due:
    """A span that must come. `errors` are the values of `error.type` that fit; seconds as measured.

    `after` is the least time since the span before it ended: 0 where that had ended.
    """

    path: str
    status: int = 200
    method: str = "GET"
    errors: tuple[str, ...] = ("",)
    at_least: float = 0.0
    after: float = -math.inf


@dataclass(frozen=True)
class Case:
    """A conversation; `served` are the server's spans in order, `asked` the client's if they differ."""

    client: Steps
    server: Steps
    served: tuple[Due, ...]
    asked: tuple[Due, ...] | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


HEAD_END = ["until", "\r\n\r\n"]
HELLO = ["until", "hello"]
EOF = ["eof"]
CLOSE = ["close"]
PAUSE = step("sleep", slack(0.05))
REST = 0.35 + slack(0.05)
RESTS = step("sleep", REST)
"""A client's pause that the server's stamps must show too: half of it, as the server may come late to it."""
AND_AGAIN_CLIENT = [["send", get("/again")], HELLO, CLOSE]
AND_AGAIN_SERVER = [HEAD_END, ["send", OK], EOF]
AGAIN = Due("/again", after=0.0)
THREE = (Due("/a"), Due("/b"), Due("/c"))
SLOW = Due("/slow", at_least=0.045)
LATER = Due("/again", after=REST / 2)

PIPELINING = {
    "three_in_one_send": Case(
        [["send", get("/a") + get("/b") + get("/c")], HELLO, HELLO, HELLO, CLOSE],
        [HEAD_END, ["send", OK], HEAD_END, ["send", OK], HEAD_END, ["send", OK], EOF],
        THREE,
    ),
    "answers_in_one_send": Case(
        [["send", get("/a") + get("/b") + get("/c")], HELLO, HELLO, HELLO, CLOSE],
        [HEAD_END, HEAD_END, HEAD_END, ["send", OK + OK + OK], EOF],
        THREE,
    ),
    "next_before_the_answer": Case(
        [["send", get("/a")], RESTS, ["send", get("/b")], HELLO, HELLO, ["send", get("/c")], HELLO, CLOSE],
        [HEAD_END, HEAD_END, ["send", OK], PAUSE, ["send", OK], HEAD_END, ["send", OK], EOF],
        (Due("/a", at_least=REST / 2), Due("/b", at_least=0.045), Due("/c")),
    ),
    "with_bodies": Case(
        [["send", post("/a", "x" * 300) + post("/b", "y" * 300) + get("/c")], HELLO, HELLO, HELLO, CLOSE],
        [["until", "x" * 300], ["send", OK], ["until", "y" * 300], ["send", OK], HEAD_END, ["send", OK], EOF],
        (Due("/a", method="POST"), Due("/b", method="POST"), Due("/c")),
    ),
}

BODIES = {
    "chunked_in_pieces": Case(
        [["send", get("/slow")], ["until", "0\r\n\r\n"], *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", CHUNKED], ["send", "5\r\nhello\r\n"], PAUSE, ["send", "3\r\nyou\r\n"]],
            *[["send", "0\r\n\r\n"], *AND_AGAIN_SERVER],
        ],
        (SLOW, AGAIN),
    ),
    "last_chunk_torn": Case(
        [["send", get("/slow")], ["until", "0\r\n\r\n"], *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", CHUNKED + "5\r\nhello\r\n0\r"], PAUSE, ["send", "\n"], ["send", "\r\n"]],
            *AND_AGAIN_SERVER,
        ],
        (SLOW, AGAIN),
    ),
    "chunk_that_looks_like_the_last": Case(
        [["send", get("/slow")], ["until", "bye\r\n0\r\n\r\n"], *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", CHUNKED + "5\r\nab0\r\n\r\n"], PAUSE, ["send", "3\r\nbye\r\n0\r\n\r\n"]],
            *AND_AGAIN_SERVER,
        ],
        (Due("/slow"), AGAIN),
    ),
    "chunked_with_trailers": Case(
        [["send", get("/slow")], ["until", "0\r\nX-Sum: 1\r\n\r\n"], *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", CHUNKED + "5\r\nhello\r\n"], PAUSE, ["send", "0\r\nX-Sum: 1\r\n\r\n"]],
            *AND_AGAIN_SERVER,
        ],
        (SLOW, AGAIN),
    ),
    "chunked_request": Case(
        [
            *[["send", get("/slow", "Transfer-Encoding: chunked\r\n", "POST")], ["send", "5\r\nhello\r\n"]],
            *[RESTS, ["send", "0\r\n\r\n"], HELLO, *AND_AGAIN_CLIENT],
        ],
        [HEAD_END, ["until", "0\r\n\r\n"], ["send", OK], *AND_AGAIN_SERVER],
        (Due("/slow", method="POST", at_least=REST / 2), AGAIN),
    ),
    "length_late_in_the_head": Case(
        [["send", get("/slow", PAD)], ["until", "world"], *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", f"HTTP/1.1 200 OK\r\n{PAD}Content-Length: 10\r\n\r\nhello"], PAUSE],
            *[["send", "world"], *AND_AGAIN_SERVER],
        ],
        (SLOW, AGAIN),
    ),
    "request_length_late_in_the_head": Case(
        [
            *[["send", get("/slow", PAD + "Content-Length: 10\r\n", "POST")], ["send", "GET / "], RESTS],
            *[["send", "HTTP"], HELLO, *AND_AGAIN_CLIENT],
        ],
        [HEAD_END, step("count", 10), ["send", OK], *AND_AGAIN_SERVER],
        (Due("/slow", method="POST", at_least=REST / 2), AGAIN),
    ),
    "larger_than_the_capture": Case(
        [["send", get("/a")], HEAD_END, step("count", 100_000), *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]],
            *[["send", "z" * 1000]] * 100,
            *AND_AGAIN_SERVER,
        ],
        (Due("/a"), AGAIN),
    ),
    "body_that_looks_like_a_request": Case(
        [["send", post("/a", get("/hidden"))], HELLO, *AND_AGAIN_CLIENT],
        [HEAD_END, HEAD_END, ["send", OK], *AND_AGAIN_SERVER],
        (Due("/a", method="POST"), AGAIN),
    ),
    "until_close": Case(
        [["send", get("/slow")], EOF, CLOSE],
        [HEAD_END, ["send", "HTTP/1.0 200 OK\r\n\r\nhello"], PAUSE, ["send", "world"], CLOSE],
        (SLOW,),
    ),
}

HEADS = {
    "request_bytewise": Case(
        [["send_bytewise", get("/a")], HELLO, *AND_AGAIN_CLIENT],
        [step("until", "\r\n\r\n", 1), ["send", OK], *AND_AGAIN_SERVER],
        (Due("/a"), AGAIN),
    ),
    "response_bytewise": Case(
        [["send", get("/a")], step("until", "hello", 1), *AND_AGAIN_CLIENT],
        [HEAD_END, ["send_bytewise", OK], *AND_AGAIN_SERVER],
        (Due("/a"), AGAIN),
    ),
    "expect_continue": Case(
        [
            *[
                ["send", get("/slow", "Expect: 100-continue\r\nContent-Length: 5\r\n", "POST")],
                HEAD_END,
                PAUSE,
            ],
            *[["send", "12345"], HELLO, *AND_AGAIN_CLIENT],
        ],
        [
            *[HEAD_END, ["send", "HTTP/1.1 100 Continue\r\n\r\n"], step("count", 5), ["send", OK]],
            *AND_AGAIN_SERVER,
        ],
        (Due("/slow", method="POST", at_least=0.045), AGAIN),
    ),
    "early_hints": Case(
        [["send", get("/slow")], HELLO, *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", "HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n"]],
            *[["send", "HTTP/1.1 102 Processing\r\n\r\n"], PAUSE, ["send", OK], *AND_AGAIN_SERVER],
        ],
        (SLOW, AGAIN),
    ),
    "head_method": Case(
        [["send", get("/a", method="HEAD")], HEAD_END, RESTS, *AND_AGAIN_CLIENT],
        [HEAD_END, ["send", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], *AND_AGAIN_SERVER],
        (Due("/a", method="HEAD"), LATER),
    ),
    "no_content_and_not_modified": Case(
        [["send", get("/a")], HEAD_END, ["send", get("/b")], HEAD_END, RESTS, *AND_AGAIN_CLIENT],
        [
            *[HEAD_END, ["send", "HTTP/1.1 204 No Content\r\n\r\n"], HEAD_END],
            *[["send", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"], *AND_AGAIN_SERVER],
        ],
        (Due("/a", 204), Due("/b", 304, after=0.0), LATER),
    ),
    "websocket": Case(
        [
            *[["send", get("/a", "Upgrade: websocket\r\nConnection: Upgrade\r\n")], HEAD_END],
            *[["send", "\x81\x85abcd\x09\x04\x0f\x08\x0e"], ["until", "\x81\x05"], ["send", get("/hidden")]],
            *[HELLO, CLOSE],
        ],
        [
            *[HEAD_END, ["send", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"]],
            *[["until", "\x0e"], ["send", "\x81\x05howdy"], HEAD_END, ["send", OK], EOF],
        ],
        (Due("/a", 101),),
    ),
}

_GIVES_UP = ("connection_aborted", "timeout")
_LEFT_ALONE = ("connection_closed",)
_RESET = ("connection_reset",)

ENDINGS = {
    "no_response": Case(
        [["send", get("/a")], EOF, CLOSE],
        [HEAD_END, CLOSE],
        (Due("/a", 0, errors=_GIVES_UP),),
        (Due("/a", 0, errors=_LEFT_ALONE),),
    ),
    "client_timeout": Case(
        [["send", get("/slow")], step("timeout", 0.1), CLOSE],
        [HEAD_END, EOF],
        (Due("/slow", 0, errors=_LEFT_ALONE),),
        (Due("/slow", 0, errors=_GIVES_UP),),
    ),
    "server_resets": Case(
        [["send", get("/a")], EOF, CLOSE],
        [HEAD_END, ["reset"]],
        (Due("/a", 0, errors=(*_RESET, *_GIVES_UP)),),
        (Due("/a", 0, errors=_RESET),),
    ),
    "client_resets_amid_the_response": Case(
        [["send", get("/a")], HELLO, ["reset"]],
        [HEAD_END, ["send", PART], EOF],
        (Due("/a", errors=_RESET),),
        (Due("/a", errors=("", *_RESET, *_GIVES_UP)),),
    ),
    "half_close": Case(
        [["send", get("/slow")], ["shutdown"], HELLO, EOF, CLOSE],
        [HEAD_END, EOF, PAUSE, ["send", OK], CLOSE],
        (SLOW,),
    ),
    "server_closes_first": Case(
        [["send", get("/a")], HELLO, EOF, CLOSE],
        [HEAD_END, ["send", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"], CLOSE],
        (Due("/a"),),
    ),
    "refused_before_the_body_is_whole": Case(
        [["send", get("/a", "Content-Length: 9000\r\n", "POST")], ["send", "x" * 100], EOF, CLOSE],
        [
            *[["until", "x" * 100], ["send", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"]],
            *[["shutdown"], EOF, CLOSE],
        ],
        (Due("/a", 413, "POST"),),
        (Due("/a", 413, "POST", errors=("413",)),),
    ),
}

HANDS = {
    "passed_to_another_process": Case(
        [["send", get("/a")], HELLO, *AND_AGAIN_CLIENT],
        [["pass_on", [HEAD_END, ["send", OK], *AND_AGAIN_SERVER]]],
        (Due("/a"), AGAIN),
    ),
    "several_threads": Case(
        [["thread", [["send", get("/a")]]], ["thread", [HELLO]], *AND_AGAIN_CLIENT],
        [["thread", [HEAD_END]], ["send", OK], ["thread", [HEAD_END]], ["thread", [["send", OK]]], EOF],
        (Due("/a"), AGAIN),
    ),
    "reused_port": Case(
        [["send", get("/a")], HELLO, ["reset"]],
        [HEAD_END, ["send", OK], EOF],
        (Due("/a"),) * 3,
        options={
            # Outside what the kernel, or harness/ports.py, gives to anyone.
            "client_options": {"repeat": 3, "local_port": 9777},
            "server_options": {"repeat": 3},
        },
    ),
}

CASES = {**PIPELINING, **BODIES, **HEADS, **ENDINGS, **HANDS}
