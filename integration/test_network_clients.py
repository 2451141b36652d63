"""How connections were made, and what names were looked up for them, of clients of every kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.certificates import certificates
from integration.harness.clients import COMMANDS
from integration.harness.fixtures import resolving
from integration.harness.lookups import INTERNAL, lookups
from integration.harness.measured import new_mark, run_client
from integration.harness.name_server import NameServer
from integration.harness.network import HOST
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.harness.tls_clients import TLS_COMMANDS

__all__ = ["resolving"]

pytestmark = pytest.mark.one_rung

Application = Callable[[str], Server]
LOOKUP = "ebpf.dns.lookup.duration"
ASKED = ("curl", "requests", "node_fetch", "go", "java")


def connects(backend: Backend, port: int) -> list[SeenSpan]:
    """Return what was told of connections to a port, oldest first."""
    found = [span for span in backend.spans(0, INTERNAL) if span.name.startswith("socket connect ")]
    mine = [span for span in found if span.attributes["network.peer.port"] == port]
    return sorted(mine, key=lambda span: span.start)


@pytest.mark.parametrize("name", ASKED)
def test_one_for_each_connection(traced: Traced, application: Application, name: str) -> None:
    """Each is a child of the connection's first request: by its server, each connection has a port."""
    server, mark, count = application("threaded"), new_mark(), 6
    url = f"http://127.0.0.1:{server.port}/json"
    run_client(COMMANDS[name](), url, mark, count, "GET")
    clients = {one.span_id: one for one in traced.backend.expect(count, kind=CLIENT, mark=mark)}
    served = traced.backend.expect(count, kind=SERVER, mark=mark)
    first: dict[object, str] = {}
    for span in sorted(served, key=lambda span: span.start):
        first.setdefault(span.attributes["network.peer.port"], span.parent_id)
    made = [one for one in connects(traced.backend, server.port) if one.parent_id in clients]
    assert sorted(one.parent_id for one in made) == sorted(first.values())
    for one in made:
        client = clients[one.parent_id]
        assert (one.trace_id, one.service) == (client.trace_id, client.service)
        assert one.start <= one.end <= client.start
    for span in clients.values():
        assert span.attributes["ebpf.tcp.rtt"] > 0
        assert span.attributes["ebpf.tcp.min_rtt"] > 0
        assert 0 < span.attributes["ebpf.response.time_to_first_byte"] * 1e9 <= span.duration + 1


@pytest.mark.parametrize("name", ["curl", "node_fetch", "gnutls"])
def test_over_tls_the_handshake_is_beside_it(traced: Traced, application: Application, name: str) -> None:
    """First the connection, then the handshake, then the request, which Node writes before its Finished."""
    server, mark = application("uvicorn_tls"), new_mark()
    url = f"https://localhost:{server.port}/json"
    run_client(TLS_COMMANDS[name](), url, mark, 3, "GET", environment=certificates().environment)
    clients = traced.backend.expect(3, kind=CLIENT, mark=mark)
    client = min(clients, key=lambda span: span.start)
    inner = [one for one in traced.backend.spans(kind=INTERNAL) if one.trace_id == client.trace_id]
    connect, handshake = sorted(inner, key=lambda span: span.start)
    assert connect.name.startswith("socket connect ")
    assert handshake.name == "TLS client handshake localhost"
    assert connect.parent_id == handshake.parent_id == client.span_id
    assert connect.end <= handshake.start <= client.start
    served = traced.backend.expect(3, kind=SERVER, mark=mark)
    for span in (*clients, *served):
        assert span.attributes["ebpf.tcp.min_rtt"] > 0


@pytest.fixture(scope="module")
def observed() -> Iterator[Traced]:
    config = {"discovery": {"include": [{"command_line": "*.test*"}]}}
    with Backend() as backend, Agent(endpoint=backend.endpoint, rung=RUNGS[0], config=config) as agent:
        yield Traced(agent, backend)


TWICE = """
import socket, sys
name, port = sys.argv[1].removeprefix("http://").partition("/")[0].split(":")
address = socket.getaddrinfo(name, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
for number in range(2):
    with socket.create_connection(address) as connection:
        connection.sendall(f"GET /?n={sys.argv[2]}-{number} HTTP/1.0\\r\\n\\r\\n".encode())
        while connection.recv(4096):
            pass
"""


@pytest.fixture(scope="module")
def asked_port(resolving: NameServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server in the network of the name server."""
    port, folder = free_port(), tmp_path_factory.mktemp("served")
    server = [sys.executable, "-m", "http.server", "--bind", HOST, "--directory", str(folder), str(port)]
    with Program(resolving.within(*server)):
        resolving.wait_listening(HOST, port)
        yield port


@pytest.mark.parametrize(
    ("name", "number"),
    [("curl", 1), ("requests", 2), ("node_fetch", 2), ("go", 2), ("java", 1), ("twice", 1)],
)
def test_the_lookup_before_it(
    observed: Traced, resolving: NameServer, asked_port: int, name: str, number: int
) -> None:
    """Each request says how long the lookup took that it has waited for, as some do for each connection."""
    host, mark = f"slow.{new_mark()}.test", new_mark()
    command: list[str | Path] = [sys.executable, "-c", TWICE] if name == "twice" else COMMANDS[name]()
    resolving.run([*command, f"http://{host}:{asked_port}/", mark, "2", "GET"])
    found = observed.backend.expect(2, kind=CLIENT, mark=mark)
    clients = sorted(found, key=lambda span: span.start)
    looked_up = lookups(observed.backend, host, number)
    for client, lookup in zip(clients, looked_up, strict=False):
        assert client.attributes[LOOKUP] == pytest.approx(lookup.duration / 1e9)
        assert client.attributes[LOOKUP] >= 0.3
        (made,) = (one for one in connects(observed.backend, asked_port) if one.parent_id == client.span_id)
        assert lookup.end <= made.start
    assert all(LOOKUP not in client.attributes for client in clients[number:])
