"""Clients on TLS libraries that few programs use, each judged by its own clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.compare import attempt, check, check_pairs, check_scheme
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_exotic import (
    OTHER_CLIENTS,
    java_tls_server,
    let_it_be_found,
    nss_plain,
    rustls_client,
)
from integration.harness.tls_servers import TLS_APPLICATIONS

# What a library passes reaches the same code on every rung: test_tls_servers and test_tls_clients run on all.
pytestmark = pytest.mark.one_rung

Application = Callable[[str], Server]


def _handshakes(traced: Traced, service: str) -> int:
    return traced.backend.histogram_count(
        "ebpf.tls.handshake.duration", lambda metric: metric.resource["service.name"] == service
    )


def _check(traced: Traced, server: Server, name: str, path: str, method: str, count: int) -> None:
    attempt(lambda: _attempt(traced, server, name, path, method, count))


def _attempt(traced: Traced, server: Server, name: str, path: str, method: str, count: int) -> None:
    client, mark, port = OTHER_CLIENTS[name], new_mark(), server.port
    url = f"https://127.0.0.1:{port}{path}"
    environment = certificates().environment
    measured = run_client(client.command(), url, mark, count, method, environment=environment)
    assert [one.status for one in measured] == [200] * count
    clients = traced.backend.expect(count, port=port, kind=CLIENT, mark=mark)
    servers = traced.backend.expect(count, port=port, kind=SERVER, mark=mark)
    for kind, spans, service in ((CLIENT, clients, client.service), (SERVER, servers, server.service)):
        check(kind, spans, measured, port=port, method=method, service=service, tls=client.version)
    check_pairs(clients, servers, measured)
    assert len({span.pid for span in clients}) == 1


@pytest.mark.parametrize("name", OTHER_CLIENTS)
def test_requests(traced: Traced, application: Application, name: str) -> None:
    """The last has more than one record of plaintext, read in more than one call."""
    server = application("threaded_tls")
    let_it_be_found(traced.backend, OTHER_CLIENTS[name].command(), f"https://127.0.0.1:{server.port}/slow")
    _check(traced, server, name, "/json", "GET", 8)
    _check(traced, server, name, "/echo", "POST", 6)
    _check(traced, server, name, "/bytes/100000", "GET", 6)


def test_what_nss_sends_without_tls(
    rung: str, start_agent: Callable[..., Traced], application: Application
) -> None:
    """PR_Write is for pipes and plain sockets too: a pipe makes nothing, a socket one span and no second."""
    server, mark = application("threaded"), new_mark()
    traced = start_agent(rung, config={"discovery": {"include": [{"executable": "*/nss_plain"}]}})
    run_client([nss_plain()], server.port, mark, 3, "GET")
    for span in traced.backend.expect(3, port=server.port, kind=CLIENT, mark=mark):
        check_scheme(span, "http")
    assert len(traced.backend.spans(kind=CLIENT)) == 3, "nothing was asked by pipe"


def test_rustls_makes_no_client_span(traced: Traced) -> None:
    """Its functions are generic, and compiled into their callers: of it the handshake is all there is."""
    before = _handshakes(traced, "rustls_client")
    with TLS_APPLICATIONS["threaded_tls"]() as server:
        mark, port = new_mark(), server.port
        url = f"https://127.0.0.1:{port}/json"
        measured = run_client([rustls_client()], url, mark, 4, "GET", environment=certificates().environment)
        servers = traced.backend.expect(4, port=port, kind=SERVER, mark=mark)
        check(SERVER, servers, measured, port=port, method="GET", service=server.service, tls="1.3")
        assert wait_until(lambda: _handshakes(traced, "rustls_client") > before)
        traced.backend.expect_none(port=port, kind=CLIENT, seconds=0)


def test_java_makes_no_server_span(traced: Traced) -> None:
    """JSSE is out of reach: its client's spans are all there is, and nothing is made of ciphertext."""
    with java_tls_server() as server:
        mark, port = new_mark(), server.port
        measured = drive(port, ["/json"] * 4, mark=mark, tls=certificates().client_context())
        clients = traced.backend.expect(4, port=port, kind=CLIENT, mark=mark)
        check(CLIENT, clients, measured, port=port, method="GET", tls="1.3")
        assert wait_until(lambda: traced.agent.unread(server.program.pid))
        assert traced.agent.unread(server.program.pid) == "java"
        traced.backend.expect_none(port=port, kind=SERVER, seconds=0)
