"""Conversations over TLS: the odd ones of plaintext, and what only TLS has."""

from __future__ import annotations

from integration.harness.certificates import certificates
from integration.harness.conversation import Steps, step
from integration.harness.odd_cases import (
    AGAIN,
    AND_AGAIN_CLIENT,
    AND_AGAIN_SERVER,
    CASES,
    CLOSE,
    EOF,
    HEAD_END,
    HELLO,
    OK,
    PAUSE,
    SLOW,
    Case,
    Due,
    get,
    post,
)

_UNFIT = ("half_close", "refused_before_the_body_is_whole", "passed_to_another_process")
"""TLS has no half-closed connections, and a session does not go over to another process."""

ODD = {name: case for name, case in CASES.items() if name not in _UNFIT}

_NEVER_BLOCKS = step("tls", "without_blocking")
_GOODBYE = step("tls", "goodbye")
_NO_LENGTH = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
_LARGE = f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 20}\r\n\r\n"

ONLY_TLS = {
    # Each receive fails once with SSL_ERROR_WANT_READ, and large sends with SSL_ERROR_WANT_WRITE.
    "want_read": Case(
        [_NEVER_BLOCKS, ["send", get("/slow")], HELLO, *AND_AGAIN_CLIENT],
        [_NEVER_BLOCKS, HEAD_END, PAUSE, ["send", OK], *AND_AGAIN_SERVER],
        (SLOW, AGAIN),
    ),
    "want_write": Case(
        [["narrow"], ["send", get("/slow")], HEAD_END, PAUSE, step("count", 1 << 20), *AND_AGAIN_CLIENT],
        [["narrow"], _NEVER_BLOCKS, HEAD_END, ["send", _LARGE], ["send_zeros", 1 << 20], *AND_AGAIN_SERVER],
        (SLOW, AGAIN),
    ),
    "a_byte_a_read": Case(
        [["send", post("/a", "y" * 500)], step("until", "hello", 1), *AND_AGAIN_CLIENT],
        [step("until", "y" * 500, 1), ["send", OK], *AND_AGAIN_SERVER],
        (Due("/a", method="POST"), AGAIN),
    ),
    # The end of the body is the end of the connection: said so, or cut off.
    "close_with_notify": Case(
        [["send", get("/a")], EOF, _GOODBYE, CLOSE],
        [HEAD_END, ["send", _NO_LENGTH], _GOODBYE, CLOSE],
        (Due("/a"),),
    ),
    "close_without_notify": Case(
        [["send", get("/a")], EOF, CLOSE],
        [HEAD_END, ["send", _NO_LENGTH], CLOSE],
        (Due("/a"),),
    ),
}


def over_tls(case: Case) -> tuple[Steps, Steps]:
    """Return the steps of a case's client and server with the handshake before them."""
    made = certificates()
    call = step("tls", "call", str(made.authority))
    serve = step("tls", "serve", str(made.certificate), str(made.key))
    return [call, *case.client], [serve, *case.server]
