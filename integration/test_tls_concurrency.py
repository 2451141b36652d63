"""Many sessions at once: no request may be told of another's connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from integration.conftest import Traced
from integration.harness import tls_servers
from integration.harness.bindings import StrangersError, check_bound, settled_bindings
from integration.harness.certificates import certificates
from integration.harness.compare import attempt, check_scheme, check_tls, one_for_each
from integration.harness.measured import Measured, new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.harness.tls_clients import MANY

Application = Callable[[str], Server]


@pytest.fixture(scope="module")
def many_ports() -> Iterator[list[Server]]:
    """Several servers in one thread, so that a client's peers can be told apart too."""
    with tls_servers.many_ports(8) as servers:
        yield servers


def _run(client: str, servers: Sequence[Server], rounds: int, connections: int) -> tuple[str, list[Measured]]:
    mark, urls = new_mark(), [f"https://127.0.0.1:{server.port}" for server in servers]
    environment = certificates().environment
    measured = run_client(MANY[client], mark, rounds, connections, *urls, environment=environment)
    assert [one.status for one in measured] == [200] * (rounds * connections)
    made = {(one.local_port, _port_of(servers, one)) for one in measured}
    assert len(made) >= connections, "it made fewer connections"
    return mark, measured


def _port_of(servers: Sequence[Server], one: Measured) -> int:
    return servers[int(one.mark.rpartition("-")[2]) % len(servers)].port


def _spans(traced: Traced, mark: str, kind: int, measured: list[Measured]) -> dict[str, SeenSpan]:
    by_mark = one_for_each(traced.backend.expect(len(measured), kind=kind, mark=mark), measured)
    for span in by_mark.values():
        assert span.status == 200, span
        check_scheme(span, "https")
        # What a handshake settled is known of its socket: of no other session.
        check_tls(span, "1.3" if "network.peer.port" in span.attributes else "")
    return by_mark


def _check(
    traced: Traced, client: str, servers: Sequence[Server], rounds: int, connections: int, binds: str
) -> None:
    """`binds` is by which method both ends' sessions find their sockets."""
    attempt(lambda: _attempt(traced, client, servers, rounds, connections, binds), StrangersError)


def _attempt(
    traced: Traced, client: str, servers: Sequence[Server], rounds: int, connections: int, binds: str
) -> None:
    before = settled_bindings(traced.backend)
    mark, measured = _run(client, servers, rounds, connections)
    served, asked = (_spans(traced, mark, kind, measured) for kind in (SERVER, CLIENT))
    for one in measured:
        inner, outer = served[one.mark], asked[one.mark]
        assert one.peer_port in (0, one.local_port)
        assert inner.service == servers[0].service, inner
        assert inner.attributes["server.port"] == _port_of(servers, one), f"{one}: {inner}"
        assert inner.attributes["network.peer.port"] == one.local_port, f"{one}: {inner}"
        assert outer.attributes["network.peer.port"] == _port_of(servers, one), f"{one}: {outer}"
        assert inner.target == outer.target, f"{inner}\n{outer}"
        assert outer.duration <= one.duration, f"longer than the client measured ({one}): {outer}"
    made = len({one.local_port for one in measured})
    check_bound(traced.backend, before, binds, binds, sessions=made)


@pytest.mark.parametrize("client", ["httpx", "node"])
def test_hundred_connections_of_one_thread(traced: Traced, many_ports: list[Server], client: str) -> None:
    """One event loop at either end; only the ciphertext says which session is which socket's."""
    _check(traced, client, many_ports, rounds=3, connections=100, binds="length")


def test_hundred_connections_of_a_node_server(traced: Traced, application: Application) -> None:
    _check(traced, "node", [application("node_tls")], rounds=3, connections=100, binds="length")


def test_threads_that_share_a_library(traced: Traced, application: Application) -> None:
    """32 threads at either end, in one library at the same time."""
    _check(traced, "threads", [application("threaded_tls")], rounds=5, connections=32, binds="api")


def test_sessions_interleaved_on_purpose(
    rung: str, start_agent: Callable[..., Traced], many_ports: list[Server]
) -> None:
    """Where it cannot be known which socket a session has, no peer is told, and never a wrong one."""
    # Not by ports: where the peer is not known, its port is not either.
    these = [{"command_line": "*interleaved*"}, {"command_line": "*many_ports*"}]
    traced = start_agent(rung, config={"discovery": {"include": these}})
    mark, measured = _run("interleaved", many_ports, rounds=6, connections=16)
    served, asked = (_spans(traced, mark, kind, measured) for kind in (SERVER, CLIENT))
    for one in measured:
        assert served[one.mark].attributes["network.peer.port"] == one.local_port, served[one.mark]
        peer = asked[one.mark].attributes.get("network.peer.port")
        assert peer in (None, _port_of(many_ports, one)), f"{one}: {asked[one.mark]}"
    nameless = {one.local_port for one in measured if "network.peer.port" not in asked[one.mark].attributes}
    told = settled_bindings(traced.backend)
    assert told["none", "unknown"] == len(nameless) > 0, told
    assert not [way for way in told if way[1] == "mismatch" and told[way]], told
