"""TLS clients of every kind, each judged by its own clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.clients import Command
from integration.harness.compare import NEAR, attempt, check, check_pairs, check_scheme
from integration.harness.measured import new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_clients import NEAR_OF, NEW_KEYS, TLS_COMMANDS, TLS_SERVICES
from integration.harness.tls_servers import VERSIONS

Application = Callable[[str], Server]

QUICK = ("curl", "requests", "node_http")
"""What `make test-fast` runs."""


def _check(
    traced: Traced,
    server: Server,
    command: Command,
    path: str,
    count: int,
    *,
    method: str = "GET",
    version: str = "1.3",
    service: str = "",
    near: int = NEAR,
) -> None:
    def once() -> None:
        mark = new_mark()
        url = f"https://127.0.0.1:{server.port}{path}"
        environment = certificates().environment
        measured = run_client(command(), url, mark, count, method, environment=environment)
        assert [one.status for one in measured] == [200] * count
        clients = traced.backend.expect(count, port=server.port, kind=CLIENT, mark=mark)
        servers = traced.backend.expect(count, port=server.port, kind=SERVER, mark=mark)
        for kind, spans, name in ((CLIENT, clients, service), (SERVER, servers, server.service)):
            check(
                kind,
                spans,
                measured,
                port=server.port,
                method=method,
                service=name,
                near=near,
                tls=version,
            )
        check_pairs(clients, servers, measured)
        assert len({span.pid for span in clients}) == 1

    attempt(once)


def _check_named(
    traced: Traced, server: Server, name: str, path: str, count: int, near: int = NEAR, method: str = "GET"
) -> None:
    near = max(near, NEAR_OF.get(name, 0))
    command, service = TLS_COMMANDS[name], TLS_SERVICES[name]
    _check(traced, server, command, path, count, method=method, service=service, near=near)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.fast, pytest.mark.guest] if name in QUICK else [])
        for name in TLS_COMMANDS
    ],
)
def test_get(traced: Traced, application: Application, name: str) -> None:
    _check_named(traced, application("threaded_tls"), name, "/json", 8)


@pytest.mark.parametrize("name", TLS_COMMANDS)
def test_post(traced: Traced, application: Application, name: str) -> None:
    _check_named(traced, application("threaded_tls"), name, "/echo", 6, method="POST")


@pytest.mark.one_rung
@pytest.mark.parametrize("name", TLS_COMMANDS)
def test_large_and_slow(traced: Traced, application: Application, name: str) -> None:
    """Against a server of another runtime, whose answers take their time."""
    server = application("node_tls")
    if name == "gnutls":  # it prints what it receives a byte a call
        _check_named(traced, server, name, "/big", 3, near=400 * NEAR)
    else:  # the slower runtimes go on decrypting 1 MiB when its last byte has long been received
        _check_named(traced, server, name, "/big", 10, near=8 * NEAR)
    _check_named(traced, server, name, "/slow", 6)


@pytest.mark.parametrize("name", [name for name in TLS_COMMANDS if name not in ("gnutls", "openssl")])
def test_chunked(traced: Traced, application: Application, name: str) -> None:
    _check_named(traced, application("node_tls"), name, "/chunked", 10)


@pytest.mark.parametrize("name", ["curl", "httpx_async", "node_http", "wget"])
def test_version_that_the_server_chooses(traced: Traced, application: Application, name: str) -> None:
    near = NEAR_OF.get(name, NEAR)
    server, version = application("nginx_tls_1_2"), VERSIONS["nginx_tls_1_2"]
    _check(traced, server, TLS_COMMANDS[name], "/1k.bin", 6, version=version, near=near)


@pytest.mark.parametrize("kind", NEW_KEYS)
def test_new_keys_between_requests(traced: Traced, application: Application, kind: str) -> None:
    """A handshake, or its like, amid a session changes neither its socket nor what it settled."""
    command, version = NEW_KEYS[kind]
    _check(traced, application("threaded_tls"), command, "/json", 6, version=version, service="openssl")


def test_name_that_the_client_asks_for(traced: Traced, application: Application) -> None:
    """The server's name goes in the clear in the handshake; an address as a name does not."""
    server, mark = application("threaded_tls"), new_mark()
    url = f"https://localhost:{server.port}/json"
    run_client(TLS_COMMANDS["curl"](), url, mark, 3, "GET", environment=certificates().environment)
    for span in traced.backend.expect(3, port=server.port, kind=CLIENT, mark=mark):
        assert span.attributes["server.address"] == "localhost", span.attributes
        assert span.attributes["network.peer.address"] == "127.0.0.1", span.attributes
        assert str(span.attributes["url.full"]).startswith(f"https://localhost:{server.port}/json?")
        check_scheme(span, "https")


def test_plaintext_to_a_port_that_speaks_tls(traced: Traced, application: Application) -> None:
    """nginx answers it with 400 in plaintext: a request as any other, and not https."""
    server, mark = application("nginx_tls"), new_mark()
    (one,) = run_client(TLS_COMMANDS["curl"](), f"http://127.0.0.1:{server.port}/1k.bin", mark, 1, "GET")
    assert one.status == 400
    (client,) = traced.backend.expect(1, port=server.port, kind=CLIENT, mark=mark)
    assert client.status == 400
    check_scheme(client, "http")
