"""Servers of every kind: one span for each request on both sides, with the right words and times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.compare import attempt, check, check_inside, check_pairs
from integration.harness.measured import drive, new_mark
from integration.harness.servers import APPLICATIONS, STATIC, Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan

Application = Callable[[str], Server]


def _both(traced: Traced, port: int, mark: str, count: int) -> tuple[list[SeenSpan], list[SeenSpan]]:
    servers = traced.backend.expect(count, port=port, kind=SERVER, mark=mark)
    return traced.backend.expect(count, port=port, kind=CLIENT, mark=mark), servers


def _check(
    traced: Traced, server: Server, paths: list[str], *, method: str = "GET", body: bytes | None = None
) -> None:
    attempt(lambda: _attempt(traced, server, paths, method, body))


def _attempt(traced: Traced, server: Server, paths: list[str], method: str, body: bytes | None) -> None:
    mark = new_mark()
    measured = drive(server.port, paths, mark=mark, method=method, body=body)
    clients, servers = _both(traced, server.port, mark, len(paths))
    check(SERVER, servers, measured, port=server.port, method=method, service=server.service)
    check(CLIENT, clients, measured, port=server.port, method=method)
    check_pairs(clients, servers, measured)
    pids = set(server.program.pids)
    assert {span.pid for span in servers} <= pids, "a span names a process that is not the server's"


@pytest.mark.fast
@pytest.mark.parametrize("name", APPLICATIONS)
def test_kept_connection(traced: Traced, application: Application, name: str) -> None:
    """Requests one after another on one connection, some with a measurable time."""
    _check(traced, application(name), ["/json", "/json", "/slow", "/json", "/slow", "/json"])


@pytest.mark.parametrize("name", APPLICATIONS)
def test_chunked_response(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application(name), ["/chunked"] * 5)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_response_larger_than_the_capture(traced: Traced, application: Application, name: str) -> None:
    """1 MiB, then small ones: the end of the large body must have been found."""
    _check(traced, application(name), ["/json", "/big", "/json", "/big", "/json"])


@pytest.mark.parametrize("name", APPLICATIONS)
def test_request_with_a_body(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application(name), ["/echo"] * 4, method="POST", body=b"y" * 3000)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_status_codes(traced: Traced, application: Application, name: str) -> None:
    """4xx is an error to the client only, 5xx to both: compare.py judges by the client's status."""
    _check(traced, application(name), ["/status/201", "/status/404", "/status/503"])


@pytest.mark.guest
@pytest.mark.parametrize("name", STATIC)
def test_static_files(traced: Traced, application: Application, name: str) -> None:
    """Small and large files, by sendfile in nginx."""
    _check(traced, application(name), ["/1k.bin", "/1k.bin", "/1m.bin", "/1k.bin", "/1m.bin"])


@pytest.mark.parametrize("name", STATIC)
def test_missing_file(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application(name), ["/none.bin", "/1k.bin", "/none.bin"])


@pytest.mark.fast
@pytest.mark.guest
def test_many_connections(traced: Traced, application: Application) -> None:
    """A connection for each request: accept, serve and close, in whichever worker."""
    server = application("gunicorn")

    def once() -> None:
        mark = new_mark()
        measured = [drive(server.port, ["/json"], mark=f"{mark}-{i}")[0] for i in range(20)]
        clients, servers = _both(traced, server.port, mark, 20)
        check(SERVER, servers, measured, port=server.port, method="GET", service="shop")
        check(CLIENT, clients, measured, port=server.port, method="GET")

    attempt(once)


def test_server_sent_events(traced: Traced, application: Application) -> None:
    """Events with silence between them are one response."""
    server = application("uvicorn")

    def once() -> list[SeenSpan]:
        mark = new_mark()
        measured = drive(server.port, ["/json", "/events", "/json"], mark=mark)
        clients, servers = _both(traced, server.port, mark, 3)
        check(SERVER, servers, measured, port=server.port, method="GET")
        check(CLIENT, clients, measured, port=server.port, method="GET")
        return servers

    servers = attempt(once)
    (events,) = (span for span in servers if "/events" in span.target)
    assert events.duration > 600_000_000, events


@pytest.mark.fast
def test_reverse_proxy(traced: Traced, application: Application) -> None:
    """nginx in front of itself: each request is served twice, and asked for once between."""
    server, count = application("nginx"), 5

    def once() -> tuple[str, list[SeenSpan]]:
        mark = new_mark()
        measured = drive(server.port, ["/proxy/1k.bin"] * count, mark=mark)
        clients, outer = _both(traced, server.port, mark, count)
        check(SERVER, outer, measured, port=server.port, method="GET", service="nginx")
        check(CLIENT, clients, measured, port=server.port, method="GET")
        return mark, outer

    mark, outer = attempt(once)
    inner_clients, inner = _both(traced, server.upstream, mark, count)
    by_mark = {span.mark: span for span in inner_clients}
    assert {span.service for span in inner_clients + inner} == {"nginx"}
    for span in inner:
        assert by_mark[span.mark].status == span.status == 200
    for span in outer:
        assert span.start <= by_mark[span.mark].start
        assert by_mark[span.mark].end <= span.end + 1_000_000
        assert by_mark[span.mark].attributes["network.peer.port"] == server.upstream


def test_unix_socket_upstream(traced: Traced, application: Application) -> None:
    """nginx to gunicorn over a unix socket: its path is the server's address, and there is no port."""
    attempt(lambda: _attempt_unix_socket(traced, application("nginx")))


def _attempt_unix_socket(traced: Traced, server: Server) -> None:
    mark, count = new_mark(), 4
    measured = drive(server.port, ["/application/json"] * count, mark=mark)
    traced.backend.expect(count, port=server.port, kind=SERVER, mark=mark)
    clients = traced.backend.expect(count, port=0, kind=CLIENT, mark=mark)
    servers = traced.backend.expect(count, port=0, kind=SERVER, mark=mark)
    assert {span.service for span in clients} == {"nginx"}
    assert {span.service for span in servers} == {"shop"}
    for span in clients + servers:
        assert str(span.attributes["server.address"]).endswith("/application.sock"), span.attributes
        assert span.attributes["network.transport"] == "unix", span.attributes
        assert (span.status, span.is_error) == (200, False)
    by_mark = {span.mark: span for span in servers}
    for one in measured:
        assert by_mark[one.mark].duration > 0
        check_inside(by_mark[one.mark], one)
    parents = {span.mark: (span.trace_id, span.span_id) for span in clients}
    assert {mark: (span.trace_id, span.parent_id) for mark, span in by_mark.items()} == parents
