"""By which proof the sessions of each program find their sockets: one for each session, and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.bindings import StrangersError, check_bound, settled_bindings
from integration.harness.certificates import certificates
from integration.harness.clients import Command
from integration.harness.compare import attempt
from integration.harness.go_programs import NEWEST, OLDEST, Build
from integration.harness.measured import drive, new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.harness.tls_clients import BINDS as CLIENT_BINDS
from integration.harness.tls_clients import TLS_COMMANDS
from integration.harness.tls_exotic import (
    GO_BINDS,
    HTTP1,
    OTHER_CLIENTS,
    go_tls_program,
    go_tls_server,
    let_it_be_found,
)
from integration.harness.tls_servers import BINDS as SERVER_BINDS
from integration.harness.tls_servers import TLS_SERVERS, TLS_STATIC

# What a library passes reaches the same code on every rung: test_tls_servers and test_tls_clients run on all.
pytestmark = pytest.mark.one_rung

Application = Callable[[str], Server]

COUNT = 6
OWN = "api"
"""Of this process, whose `ssl` names the socket to the library."""


def _both_ends(traced: Traced, port: int, mark: str) -> int:
    """Check that the requests were seen at both ends; return how many connections they came by."""
    clients = traced.backend.expect(COUNT, port=port, kind=CLIENT, mark=mark)
    servers = traced.backend.expect(COUNT, port=port, kind=SERVER, mark=mark)
    assert {_peer(span) for span in clients} == {port}
    return len({_peer(span) for span in servers})


def _peer(span: SeenSpan) -> int:
    return int(span.attributes["network.peer.port"])


@pytest.mark.parametrize("name", TLS_SERVERS)
def test_server(traced: Traced, application: Application, name: str) -> None:
    """Three connections with as many requests as it lets pass by each."""
    server, context = application(name), certificates().client_context()
    paths = ["/1k.bin" if name in TLS_STATIC else "/json"] * (COUNT // 3)

    def once() -> None:
        before, mark, measured = settled_bindings(traced.backend), new_mark(), []
        for number in range(3):
            measured += drive(server.port, paths, mark=f"{mark}-{number}", tls=context)
        made = len({one.local_port for one in measured})
        assert _both_ends(traced, server.port, mark) == made >= 3
        check_bound(traced.backend, before, OWN, SERVER_BINDS[name], sessions=made)

    attempt(once, StrangersError)


def _asked(traced: Traced, server: Server, command: Command, *binds: str) -> None:
    url, environment = f"https://127.0.0.1:{server.port}/json", {**certificates().environment, **HTTP1}

    def once() -> None:
        before, mark = settled_bindings(traced.backend), new_mark()
        run_client(command(), url, mark, COUNT, "GET", environment=environment)
        made = _both_ends(traced, server.port, mark)
        check_bound(traced.backend, before, *binds, sessions=made)

    attempt(once, StrangersError)


@pytest.mark.parametrize("name", TLS_COMMANDS)
def test_client(traced: Traced, application: Application, name: str) -> None:
    server, binds = application("threaded_tls"), SERVER_BINDS["threaded_tls"]
    _asked(traced, server, TLS_COMMANDS[name], CLIENT_BINDS[name], binds)


@pytest.mark.parametrize("name", OTHER_CLIENTS)
def test_client_of_another_library(traced: Traced, application: Application, name: str) -> None:
    client, server = OTHER_CLIENTS[name], application("threaded_tls")
    let_it_be_found(traced.backend, client.command(), f"https://127.0.0.1:{server.port}/slow")
    _asked(traced, server, client.command, client.binds, SERVER_BINDS["threaded_tls"])


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_go(traced: Traced, version: str) -> None:
    build = Build(version, stripped=True)
    program = go_tls_program("client", build)
    with go_tls_server(build) as server:
        let_it_be_found(traced.backend, [program], f"https://127.0.0.1:{server.port}/slow")
        _asked(traced, server, lambda: [program], GO_BINDS, GO_BINDS)
