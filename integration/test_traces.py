"""The spans of one request are one trace, with the right parents, with nothing written into any traffic."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from integration.conftest import Traced
from integration.harness.build import PROGRAMS
from integration.harness.certificates import certificates
from integration.harness.limits import PATIENCE, SLACK, slack, wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.traces import Verdict, judge, torn

TRACES = PROGRAMS / "traces"
EMULATED = SLACK >= 5
LATE = ("socket_trace", "syscall")
"""They see a send when it returns: emulated, that can be later than what the other end does about it."""
REQUESTS = 40 if EMULATED else 200
AT_ONCE = [1, pytest.param(10, marks=pytest.mark.guest), 50]
Hop = Callable[[str], Server]


@pytest.fixture(scope="module")
def hop() -> Iterator[Hop]:
    """Start services by name, as many as are asked for: a name with a number is one of its own."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def get(name: str) -> Server:
            if name not in running:
                port = free_port()
                program = _program(name.partition("-")[0], port)
                running[name] = Server(stack.enter_context(program), port, name)
            return running[name]

        yield get


def _program(kind: str, port: int) -> Program:
    words: dict[str, list[str]] = {
        "threaded": [sys.executable, "threaded_hop.py", str(port)],
        "careless": [sys.executable, "careless_hop.py", str(port)],
        "node": ["node", "node_hop.js", str(port)],
        "asyncio": [
            sys.executable,
            "-m",
            "uvicorn",
            "--no-access-log",
            "--port",
            str(port),
            "asyncio_hop:app",
        ],
        "prefork": [
            *[sys.executable, "-m", "gunicorn", "--workers", "4", "--no-control-socket"],
            *["--bind", f"127.0.0.1:{port}", "prefork_hop:app"],
        ],
    }
    stop = signal.SIGQUIT if kind == "prefork" else signal.SIGTERM
    return Program(words[kind], port=port, directory=TRACES, stop_signal=stop)


def _visit(first: Server, hops: str, mark: str, requests: int, at_once: int) -> None:
    words = [sys.executable, TRACES / "visitor.py", first.port, hops, mark, requests, at_once]
    subprocess.run(
        [str(word) for word in words], check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL
    )


def _judged(traced: Traced, first: Server, hops: str, spans: int, at_once: int) -> Verdict:
    mark = new_mark()
    _visit(first, hops, mark, REQUESTS, at_once)
    seen = traced.backend.expect(spans * REQUESTS, mark=mark)
    verdict = judge(seen, "visitor")
    assert not verdict.wrong, str(verdict)
    assert verdict.missing or not torn(seen)
    return verdict


def _check(traced: Traced, first: Server, hops: str, spans: int, at_once: int) -> None:
    verdict = _judged(traced, first, hops, spans, at_once)
    if not EMULATED or traced.agent.rung_in_use() not in LATE:
        assert not verdict.missing, str(verdict)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_a_chain_of_threaded_services(traced: Traced, hop: Hop, at_once: int) -> None:
    """Four deep, connections kept and new in turn."""
    one, two, three, four = (hop(f"threaded-{number}") for number in range(4))
    _check(traced, one, f"{two.port}/{three.port}c/{four.port}", 8, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_forked_workers_in_a_chain(traced: Traced, hop: Hop, at_once: int) -> None:
    one, two, three = hop("threaded-0"), hop("prefork-0"), hop("threaded-1")
    _check(traced, one, f"{two.port}c/{three.port}", 6, at_once)


def test_one_request_that_fans_out(traced: Traced, hop: Hop) -> None:
    one, others = hop("threaded-0"), [hop(f"threaded-{number}") for number in range(1, 5)]
    wide = "+".join(f"{server.port}{how}" for server, how in zip(others, ["", "c", "", "c"], strict=True))
    _check(traced, one, wide, 2 + 8, 10)


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("name", ["node", "asyncio"])
def test_an_event_loop_s_requests_have_no_parent_rather_than_a_wrong_one(
    traced: Traced, hop: Hop, name: str, at_once: int
) -> None:
    """What it receives is the child of what was asked; what it asks is not told apart yet."""
    one, two, three = hop("threaded-0"), hop(name), hop("threaded-1")
    verdict = _judged(traced, one, f"{two.port}/{three.port}", 6, at_once)
    assert verdict.missing == {f"{name}_hop client": REQUESTS}, str(verdict)


@pytest.mark.parametrize("at_once", [1, 10])
def test_what_is_asked_after_the_answer_has_no_parent(traced: Traced, hop: Hop, at_once: int) -> None:
    """The request is over, and the thread may be working on anything."""
    one, two, three = hop("threaded-0"), hop("careless"), hop("threaded-1")
    verdict = _judged(traced, one, f"{two.port}c/{three.port}", 6, at_once)
    assert verdict.missing == {"careless_hop client": REQUESTS}, str(verdict)


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
    traced: Traced, hop: Hop, flags: str, spans: int
) -> None:
    """Whoever sent it has decided: of the whole trace or of nothing of it, passed on or not."""
    one, two, three = (hop(f"threaded-{number}") for number in range(3))
    mark, path = new_mark(), f"/walk/1/{two.port}/{three.port}"
    before = traced.agent.ledger()["signal_unsampled"]
    drive(one.port, [path], mark=mark, headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})
    seen = traced.backend.expect(spans, mark=mark)
    assert {span.trace_id for span in seen} <= {TRACE}
    assert wait_until(lambda: traced.agent.ledger()["signal_unsampled"] - before == 6 - spans)
