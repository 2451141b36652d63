"""Both ends of a connection tell the same requests by their place in the stream, whatever passes on it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from integration.conftest import Traced
from integration.harness.conversation import Steps, converse, step
from integration.harness.odd_cases import HEAD_END, HELLO, OK, PAUSE, get
from integration.harness.spans import CLIENT, SERVER, describe

ANSWER = step("send", OK)
LARGE = (1 << 32) + 12345

# What the client does, what the server does, and the requests that must come of it.
CONVERSATIONS: dict[str, tuple[Steps, Steps, Sequence[str]]] = {
    "three_at_once": (
        [step("send", get("/1") + get("/2") + get("/3")), HELLO, HELLO, HELLO],
        [HEAD_END, HEAD_END, HEAD_END, ANSWER, ANSWER, ANSWER],
        ["/1", "/2", "/3"],
    ),
    "three_in_a_row": (
        [*(step("send", get(f"/{number}")) for number in (1, 2, 3)), HELLO, HELLO, HELLO],
        [HEAD_END, HEAD_END, HEAD_END, ANSWER, ANSWER, ANSWER],
        ["/1", "/2", "/3"],
    ),
    "before_the_answer_is_read": (
        [step("send", get("/1")), step("until", "HTTP", 4), step("send", get("/2")), HELLO, HELLO],
        [HEAD_END, ANSWER, HEAD_END, ANSWER],
        ["/1", "/2"],
    ),
    "behind_more_than_4_gib": (
        [
            step("send", get("/1", f"Content-Length: {LARGE}\r\n", "POST")),
            *[step("send_zeros", LARGE), HELLO, step("send", get("/2")), HELLO],
        ],
        [HEAD_END, step("count", LARGE), ANSWER, HEAD_END, ANSWER],
        ["/1", "/2"],
    ),
    "of_which_one_end_was_closed_before_it_was_read": (
        [step("send", get("/1")), step("shutdown"), HELLO],
        [PAUSE, HEAD_END, ANSWER],
        ["/1"],
    ),
}


PIPELINED = ("three_at_once", "three_in_a_row")
REPEATED = 20
MOST = 0.8
"""The share of the pipelined requests that have a parent at least; who has one has the right one."""


def _talk(traced: Traced, name: str) -> tuple[int, int]:
    """Have a conversation; return how many of its requests have their parent, and how many there were."""
    client, server, paths = CONVERSATIONS[name]
    port = converse([*client, step("close")], [*server, step("eof")])
    spans = traced.backend.expect(2 * len(paths), port=port)
    asked = {span.target: span for span in spans if span.kind == CLIENT}
    served = {span.target: span for span in spans if span.kind == SERVER}
    assert sorted(asked) == sorted(served) == sorted(paths), describe(spans)
    assert not any(span.parent_id for span in asked.values())
    with_parent = [path for path in paths if served[path].parent_id]
    for path in with_parent:
        parent = (asked[path].trace_id, asked[path].span_id)
        assert (served[path].trace_id, served[path].parent_id) == parent, path
    return len(with_parent), len(paths)


@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name not in PIPELINED])
def test_the_server_s_request_is_the_client_s_child(traced: Traced, name: str) -> None:
    found, all_of_them = _talk(traced, name)
    assert found == all_of_them


@pytest.mark.parametrize("name", PIPELINED)
def test_most_pipelined_requests_are_the_client_s_children(traced: Traced, name: str) -> None:
    """While several are under way it is looked for once: now and then before the client's send is known."""
    found, all_of_them = map(sum, zip(*(_talk(traced, name) for _ in range(REPEATED)), strict=True))
    assert found >= MOST * all_of_them, f"{found} of {all_of_them}"
