"""The spans of one request are one trace, with the right parents, with nothing written into any traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.hops import REQUESTS, Hops, check, judged
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER

AT_ONCE = [1, pytest.param(10, marks=pytest.mark.guest), 50]


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_a_chain_of_threaded_services(traced: Traced, hop: Hops, at_once: int) -> None:
    """Four deep, connections kept and new in turn."""
    one, two, three, four = (hop(f"threaded-{number}") for number in range(4))
    check(traced, one, f"{two.port}/{three.port}c/{four.port}", 8, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_forked_workers_in_a_chain(traced: Traced, hop: Hops, at_once: int) -> None:
    one, two, three = hop("threaded-0"), hop("prefork-0"), hop("threaded-1")
    check(traced, one, f"{two.port}c/{three.port}", 6, at_once)


def test_one_request_that_fans_out(traced: Traced, hop: Hops) -> None:
    one, others = hop("threaded-0"), [hop(f"threaded-{number}") for number in range(1, 5)]
    wide = "+".join(f"{server.port}{how}" for server, how in zip(others, ["", "c", "", "c"], strict=True))
    check(traced, one, wide, 2 + 8, 10)


@pytest.mark.parametrize("at_once", [1, 10])
def test_what_is_asked_after_the_answer_has_no_parent(traced: Traced, hop: Hops, at_once: int) -> None:
    """The request is over, and the thread may be working on anything."""
    one, two, three = hop("threaded-0"), hop("careless"), hop("threaded-1")
    verdict = judged(traced, one, f"{two.port}c/{three.port}", 6, at_once)
    assert verdict.orphans == {"careless_hop client": REQUESTS}, str(verdict)


@pytest.mark.parametrize("name", ["threaded_tls", "nginx_tls", "node_tls", "uvicorn_tls"])
def test_both_ends_of_a_tls_connection(
    traced: Traced, application: Callable[[str], Server], name: str
) -> None:
    """By the position in the plaintext, from the first request after the handshake on."""
    server, mark = application(name), new_mark()
    path = "/1k.bin" if name == "nginx_tls" else "/json"
    drive(server.port, [path] * 3, mark=mark, tls=certificates().client_context())
    for number in range(3):
        ends = traced.backend.expect(2, mark=f"{mark}-{number}")
        (client,) = (span for span in ends if span.kind == CLIENT)
        (inner,) = (span for span in ends if span.kind == SERVER)
        assert (inner.trace_id, inner.parent_id) == (client.trace_id, client.span_id)
        assert not client.parent_id


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "spans"), [("01", 6), ("00", 0)], ids=["sampled", "not sampled"])
def test_a_traceparent_s_flag_decides_through_the_whole_chain(
    traced: Traced, hop: Hops, flags: str, spans: int
) -> None:
    """Whoever sent it has decided: of the whole trace or of nothing of it, passed on or not."""
    one, two, three = (hop(f"threaded-{number}") for number in range(3))
    mark, path = new_mark(), f"/walk/1/{two.port}/{three.port}"
    before = traced.agent.ledger()["signal_unsampled"]
    drive(one.port, [path], mark=mark, headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})
    seen = traced.backend.expect(spans, mark=mark)
    assert {span.trace_id for span in seen} <= {TRACE}
    assert wait_until(lambda: traced.agent.ledger()["signal_unsampled"] - before == 6 - spans)


def test_who_sends_a_traceparent_decides_whose_child_the_server_s_is(traced: Traced, hop: Hops) -> None:
    """The span that is named there, as an SDK's: the client span is another child of it, and not between."""
    one, mark = hop("threaded-0"), new_mark()
    drive(one.port, ["/walk/1"], mark=mark, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    seen = traced.backend.expect(2, mark=mark)
    assert sorted(span.kind for span in seen) == sorted((SERVER, CLIENT))
    assert {(span.trace_id, span.parent_id) for span in seen} == {(TRACE, PARENT)}
