"""TLS servers: the same spans as without TLS, of the right peer, and what the handshake settled."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import closing

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.compare import NEAR, attempt, check, check_pairs, check_scheme, check_tls
from integration.harness.measured import Measured, ask, connect, drive, new_mark
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.harness.tls_servers import NEAR_OF, TLS_APPLICATIONS, TLS_STATIC, VERSIONS

Application = Callable[[str], Server]

QUICK = ("threaded_tls", "node_tls", "nginx_tls")
"""What `make test-fast` runs."""


def _quick(names: dict[str, object]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.fast if name in QUICK else ()) for name in names]


def _check(
    traced: Traced,
    application: Application,
    name: str,
    paths: list[str],
    *,
    method: str = "GET",
    body: bytes | None = None,
) -> None:
    server, context = application(name), certificates().client_context()

    def once() -> None:
        mark = new_mark()
        measured = drive(server.port, paths, mark=mark, method=method, body=body, tls=context)
        version, near = VERSIONS.get(name, "1.3"), NEAR_OF.get(name, NEAR)
        servers = _checked(traced, server, version, mark, measured, method=method, near=near)
        pids = set(server.program.pids)
        assert {span.pid for span in servers} <= pids, "a span names a process that is not the server's"

    attempt(once)


def _checked(
    traced: Traced,
    server: Server,
    version: str,
    mark: str,
    measured: list[Measured],
    *,
    method: str = "GET",
    near: int = NEAR,
) -> list[SeenSpan]:
    """Check the spans of both sides; return the server's."""
    backend, port, count = traced.backend, server.port, len(measured)
    servers = backend.expect(count, port=port, kind=SERVER, mark=mark)
    clients = backend.expect(count, port=port, kind=CLIENT, mark=mark)
    for kind, spans, service in ((SERVER, servers, server.service), (CLIENT, clients, "")):
        check(kind, spans, measured, port=port, method=method, service=service, near=near, tls=version)
    check_pairs(clients, servers, measured)
    return servers


@pytest.mark.parametrize("name", _quick({**TLS_APPLICATIONS}))
def test_kept_connection(traced: Traced, application: Application, name: str) -> None:
    """Requests one after another in one session, some with a measurable time."""
    _check(traced, application, name, ["/json", "/json", "/slow", "/json", "/slow", "/json"])


@pytest.mark.parametrize("name", TLS_APPLICATIONS)
def test_chunked_response(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application, name, ["/chunked"] * 5)


@pytest.mark.parametrize("name", TLS_APPLICATIONS)
def test_response_of_many_records(traced: Traced, application: Application, name: str) -> None:
    """1 MiB, then small ones: the end of the large body must have been found."""
    _check(traced, application, name, ["/json", "/big", "/json", "/big", "/json"])


@pytest.mark.parametrize("name", TLS_APPLICATIONS)
def test_request_with_a_body(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application, name, ["/echo"] * 4, method="POST", body=b"y" * 3000)


@pytest.mark.parametrize("name", TLS_APPLICATIONS)
def test_status_codes(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application, name, ["/status/201", "/status/404", "/status/503"])


@pytest.mark.parametrize("name", _quick({**TLS_STATIC}))
def test_static_files(traced: Traced, application: Application, name: str) -> None:
    """What sendfile would send is read and encrypted instead."""
    _check(traced, application, name, ["/1k.bin", "/1k.bin", "/1m.bin", "/1k.bin", "/1m.bin"])


@pytest.mark.parametrize("name", TLS_STATIC)
def test_missing_file(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application, name, ["/none.bin", "/1k.bin", "/none.bin"])


SUITES = {
    "ECDHE-ECDSA-AES128-SHA": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "ECDHE-ECDSA-AES256-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", ["threaded_tls", "uvicorn_tls"])
def test_cipher_suites(traced: Traced, application: Application, name: str, suite: str) -> None:
    """Of each, a record is longer than its plaintext by another number of bytes, and with CBC it varies."""
    server, context = application(name), certificates().client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    paths = ["/json", "/bytes/1", "/bytes/15", "/bytes/16", "/bytes/40000", "/json"]

    def once() -> list[SeenSpan]:
        mark = new_mark()
        measured = drive(server.port, paths, mark=mark, tls=context)
        return _checked(traced, server, "1.2", mark, measured)

    assert {span.attributes["tls.cipher"] for span in attempt(once)} == {SUITES[suite]}


@pytest.mark.parametrize("name", ["gunicorn_tls", "uvicorn_tls", "node_tls", "nginx_tls", "gnutls"])
def test_many_connections(traced: Traced, application: Application, name: str) -> None:
    """A session for each request: sockets and the library's objects come back at the same addresses."""
    server, context = application(name), certificates().client_context()
    path = "/1k.bin" if name in TLS_STATIC else "/json"

    def once() -> None:
        mark = new_mark()
        measured = [drive(server.port, [path], mark=f"{mark}-{i}", tls=context)[0] for i in range(20)]
        _checked(traced, server, VERSIONS.get(name, "1.3"), mark, measured)

    attempt(once)


def test_server_sent_events(traced: Traced, application: Application) -> None:
    """Events with silence between them are one response."""
    server, context = application("uvicorn_tls"), certificates().client_context()

    def once() -> list[SeenSpan]:
        mark = new_mark()
        measured = drive(server.port, ["/json", "/events", "/json"], mark=mark, tls=context)
        return _checked(traced, server, "1.3", mark, measured)

    (events,) = (span for span in attempt(once) if "/events" in span.target)
    assert events.duration > 600_000_000, events


@pytest.mark.parametrize("name", ["nginx_tls", "nginx_tls_1_2"])
def test_reverse_proxy(traced: Traced, application: Application, name: str) -> None:
    """One thread is a server in some sessions and a client in others."""
    server, version, count = application(name), VERSIONS.get(name, "1.3"), 5
    context = certificates().client_context()

    def once() -> tuple[str, list[SeenSpan]]:
        mark = new_mark()
        measured = drive(server.port, ["/proxy/1k.bin"] * count, mark=mark, tls=context)
        return mark, _checked(traced, server, version, mark, measured)

    mark, outer = attempt(once)
    inner_clients = traced.backend.expect(count, port=server.upstream, kind=CLIENT, mark=mark)
    inner = traced.backend.expect(count, port=server.upstream, kind=SERVER, mark=mark)
    assert {span.service for span in inner_clients + inner} == {"nginx"}
    by_mark = {span.mark: span for span in inner_clients}
    for span in inner_clients + inner:
        check_scheme(span, "https")
        check_tls(span, version)
    for span in inner:
        assert by_mark[span.mark].status == span.status == 200
    for span in outer:
        assert span.start <= by_mark[span.mark].start
        assert by_mark[span.mark].attributes["network.peer.port"] == server.upstream


@pytest.mark.parametrize("name", ["threaded_tls", "uvicorn_tls", "node_tls", "nginx_tls"])
def test_session_older_than_the_agent(
    rung: str, start_agent: Callable[..., Traced], application: Application, name: str
) -> None:
    """Its handshake was not seen, so nothing is said of it; its next exchange is, with the right peer."""
    server, mark = application(name), new_mark()
    with closing(connect(server.port, certificates().client_context())) as connection:
        ask(connection, ["/1k.bin"], mark=new_mark())
        traced = start_agent(rung, config={"discovery": {"include": [{"ports": [server.port]}]}})
        if name == "threaded_tls":  # its thread stood in the library, and comes out of it unseen
            ask(connection, ["/1k.bin"], mark=new_mark())
        (first,) = ask(connection, ["/1k.bin"], mark=mark)
    for kind in (SERVER, CLIENT):
        (span,) = traced.backend.expect(1, port=server.port, kind=kind, mark=mark)
        assert (span.status, span.target) == (200, f"/1k.bin?n={first.mark}")
        assert span.attributes["network.peer.address"] == "127.0.0.1", span.attributes
        peer = first.local_port if kind == SERVER else server.port
        assert span.attributes["network.peer.port"] == peer, span.attributes
        check_scheme(span, "https")
        check_tls(span, "")
