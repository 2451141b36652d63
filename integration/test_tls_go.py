"""Go's crypto/tls on both sides, by old and new compilers, with symbols and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.compare import NEAR, attempt, check, check_pairs
from integration.harness.go_programs import LOCAL, NEWEST, OLDEST, PREVIOUS, Build
from integration.harness.measured import new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_exotic import (
    GO_SERVICES,
    HTTP1,
    go_tls_program,
    go_tls_server,
    let_it_be_found,
)

# What a library passes reaches the same code on every rung: test_tls_servers and test_tls_clients run on all.
pytestmark = pytest.mark.one_rung


BUILDS = [Build(NEWEST, False), Build(NEWEST, True), Build(PREVIOUS, False), Build(OLDEST, True)]
LINKED = [Build(LOCAL, True, "pie"), Build(NEWEST, True, "external")]

Serve = Callable[[Build], Server]


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Start one server of each build at its first use."""
    running: dict[Build, Server] = {}
    with ExitStack() as stack:

        def get(build: Build) -> Server:
            if build not in running:
                server = go_tls_server(build)
                running[build] = stack.enter_context(server)
            return running[build]

        yield get


def _check(
    traced: Traced, serve: Serve, build: Build, path: str, method: str, count: int, near: int = NEAR
) -> None:
    server = serve(build)
    program = go_tls_program("client", build)
    let_it_be_found(traced.backend, [program], f"https://127.0.0.1:{server.port}/slow")
    attempt(lambda: _attempt(traced, server, program, path, method, count, near))


def _attempt(
    traced: Traced, server: Server, program: Path, path: str, method: str, count: int, near: int
) -> None:
    mark, port = new_mark(), server.port
    environment = {**certificates().environment, **HTTP1}
    url = f"https://127.0.0.1:{port}{path}"
    measured = run_client([program], url, mark, count, method, environment=environment)
    assert [one.status for one in measured] == [200] * count
    clients = traced.backend.expect(count, port=port, kind=CLIENT, mark=mark)
    servers = traced.backend.expect(count, port=port, kind=SERVER, mark=mark)
    for kind, spans, service in (
        (CLIENT, clients, GO_SERVICES["client"]),
        (SERVER, servers, GO_SERVICES["server"]),
    ):
        check(kind, spans, measured, port=port, method=method, service=service, near=near, tls="1.3")
    check_pairs(clients, servers, measured)
    assert {span.pid for span in servers} == {server.program.pid}


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_get(traced: Traced, serve: Serve, build: Build) -> None:
    _check(traced, serve, build, "/json", "GET", 8)


@pytest.mark.parametrize("build", LINKED, ids=str)
def test_get_where_the_first_function_is_not_first(traced: Traced, serve: Serve, build: Build) -> None:
    """Position independent, and linked by the C compiler: addresses in the function table are offsets."""
    _check(traced, serve, build, "/json", "GET", 8)


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_bodies(traced: Traced, serve: Serve, version: str) -> None:
    """A request in two writes, a response of many records, one in chunks, and one that takes its time."""
    build = Build(version, stripped=True)
    _check(traced, serve, build, "/echo", "POST", 6)
    # The client goes on copying 1 MiB when its last byte has long been received.
    _check(traced, serve, build, "/big", "GET", 6, near=8 * NEAR)
    _check(traced, serve, build, "/chunked", "GET", 6)
    _check(traced, serve, build, "/slow", "GET", 4)
