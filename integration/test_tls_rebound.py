"""A session that goes to another socket, or whose address is another program's: nothing old is told of it."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.bindings import settled_bindings
from integration.harness.certificates import certificates
from integration.harness.compare import check_scheme, one_for_each
from integration.harness.measured import Measured, new_mark, run_client
from integration.harness.provoke import StartAgent
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SeenSpan
from integration.harness.tls_exotic import openssl_program
from integration.harness.tls_servers import TLS_SERVERS, TLS_STATIC

# What a library passes reaches the same code on every rung.
RUNG = RUNGS[0]
COUNT = 4
"""Requests on each of the two sockets."""


def _start(start_agent: StartAgent) -> Traced:
    # Not by ports: where the peer is not known, its port is not either.
    return start_agent(RUNG, config={"discovery": {"include": [{"executable": "*/rebound"}]}})


def _run(traced: Traced, mode: str, ports: tuple[int, int]) -> tuple[list[Measured], dict[str, SeenSpan]]:
    mark = new_mark()
    command: list[str | Path] = [openssl_program("rebound"), mode, "127.0.0.1", *map(str, ports)]
    measured = run_client(command, mark, COUNT, environment=certificates().environment)
    assert [one.status for one in measured] == [200] * 2 * COUNT
    spans = one_for_each(traced.backend.expect(2 * COUNT, kind=CLIENT, mark=mark), measured)
    for span in spans.values():
        assert span.status == 200, span
        check_scheme(span, "https")
    return measured, spans


def _peers(measured: list[Measured], spans: dict[str, SeenSpan]) -> list[int | None]:
    return [spans[one.mark].attributes.get("network.peer.port") for one in measured]


def _mismatches(traced: Traced) -> dict[str, int]:
    told = settled_bindings(traced.backend)
    return {method: count for (method, outcome), count in told.items() if outcome == "mismatch" and count}


@pytest.mark.parametrize(
    ("mode", "mismatches"),
    [
        pytest.param("again", {}, id="named"),
        # The first was bound by the calls within the library's, and those are made on another socket now.
        pytest.param("silently", {"nested": 1}, id="not named"),
    ],
)
def test_an_object_that_is_used_again(start_agent: StartAgent, mode: str, mismatches: dict[str, int]) -> None:
    """SSL_clear, and a handshake on the next socket, while the last is still open."""
    with TLS_SERVERS["threaded_tls"]() as first, TLS_SERVERS["threaded_tls"]() as other:
        traced = _start(start_agent)
        peers = _peers(*_run(traced, mode, (first.port, other.port)))
        assert peers == [first.port] * COUNT + [other.port] * COUNT
        assert _mismatches(traced) == mismatches


def test_a_session_that_moves(start_agent: StartAgent) -> None:
    """SSL_set_fd amid the session: the other socket has seen no handshake, so that nothing is known of it."""
    with TLS_SERVERS["threaded_tls"]() as server, _relay(server.port) as ports:
        traced = _start(start_agent)
        peers = _peers(*_run(traced, "moved", ports))
        assert peers == [ports[0]] * COUNT + [None] * COUNT
        told = settled_bindings(traced.backend)
        assert told["none", "unknown"] == 1, told
        assert not _mismatches(traced)


def test_an_address_that_is_used_again(start_agent: StartAgent) -> None:
    """A program that executes itself amid its session: the next has nothing of what was settled."""
    with TLS_STATIC["nginx_tls"]() as server:
        traced = start_agent(RUNG, config={"discovery": {"include": [{"executable": "*/replaced"}]}})
        mark, program = new_mark(), openssl_program("replaced")
        command = ["setarch", "-R", program, "127.0.0.1", str(server.port)]
        measured = run_client(command, mark, COUNT, environment=certificates().environment)
        spans = one_for_each(traced.backend.expect(2 * COUNT, kind=CLIENT, mark=mark), measured)
        agreed = [spans[one.mark].attributes.get("tls.next_protocol") for one in measured]
        assert agreed == ["http/1.1"] * COUNT + [None] * COUNT


@contextmanager
def _relay(port: int) -> Iterator[tuple[int, int]]:
    """Two ports in front of one connection to a server: answers go to where the last request came from."""
    with ExitStack() as stack:
        doors = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        thread = threading.Thread(target=_pass_on, args=(doors, port), daemon=True)
        thread.start()
        first, other = (door.getsockname()[1] for door in doors)
        yield first, other
        thread.join(10)


def _pass_on(doors: list[socket.socket], port: int) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        clients: list[socket.socket] = []
        last: socket.socket = server
        while True:
            for one in select.select([*doors, *clients, server], [], [])[0]:
                if one in doors:
                    clients.append(stack.enter_context(one.accept()[0]))
                    continue
                piece = one.recv(65536)
                if not piece:
                    return
                if one is server:
                    last.sendall(piece)
                else:
                    last = one
                    server.sendall(piece)
