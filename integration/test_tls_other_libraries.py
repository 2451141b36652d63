"""Clients on TLS libraries that few programs use, each judged by its own clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.compare import attempt, check, check_pairs
from integration.harness.measured import drive, new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_exotic import OTHER_CLIENTS, java_tls_server

Application = Callable[[str], Server]


def _check(traced: Traced, server: Server, name: str, path: str, method: str, count: int) -> None:
    attempt(lambda: _attempt(traced, server, name, path, method, count))


def _attempt(traced: Traced, server: Server, name: str, path: str, method: str, count: int) -> None:
    client, mark, port = OTHER_CLIENTS[name], new_mark(), server.port
    url = f"https://127.0.0.1:{port}{path}"
    environment = certificates().environment
    measured = run_client(client.command(), url, mark, count, method, environment=environment)
    assert [one.status for one in measured] == [200] * count
    clients = traced.backend.expect(count, port=port, kind=CLIENT, mark=mark)
    servers = traced.backend.expect(count, port=port, kind=SERVER, mark=mark, quiet=0)
    for kind, spans, service in ((CLIENT, clients, client.service), (SERVER, servers, server.service)):
        check(kind, spans, measured, port=port, method=method, service=service, tls=client.version)
    check_pairs(clients, servers, measured)
    assert len({span.pid for span in clients}) == 1


@pytest.mark.parametrize("name", OTHER_CLIENTS)
def test_get(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application("threaded_tls"), name, "/json", "GET", 8)


@pytest.mark.parametrize("name", OTHER_CLIENTS)
def test_post(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application("threaded_tls"), name, "/echo", "POST", 6)


@pytest.mark.parametrize("name", OTHER_CLIENTS)
def test_many_records(traced: Traced, application: Application, name: str) -> None:
    """More than one record of plaintext, read in more than one call."""
    _check(traced, application("threaded_tls"), name, "/bytes/100000", "GET", 6)


def test_java_makes_no_server_span(traced: Traced) -> None:
    """JSSE is out of reach: its client's spans are all there is, and nothing is made of ciphertext."""
    with java_tls_server() as server:
        mark, port = new_mark(), server.port
        measured = drive(port, ["/json"] * 4, mark=mark, tls=certificates().client_context())
        clients = traced.backend.expect(4, port=port, kind=CLIENT, mark=mark)
        check(CLIENT, clients, measured, port=port, method="GET", tls="1.3")
        traced.backend.expect_none(port=port, kind=SERVER, seconds=0.5)
