"""What is told of handshakes: their time, their failure, what they settled, and how sockets were found."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.bindings import outcomes
from integration.harness.certificates import certificates
from integration.harness.compare import check_tls
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark, run_client
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_clients import RESUMES, TLS_COMMANDS
from integration.harness.tls_servers import TLS_APPLICATIONS

# What a library passes reaches the same code on every rung: test_tls_servers and test_tls_clients run on all.
pytestmark = pytest.mark.one_rung

Application = Callable[[str], Server]

INTERNAL = 1


@pytest.fixture
def fresh() -> Iterator[Server]:
    """A server of the test's own: handshakes carry no mark, and are told apart by the port."""
    with TLS_APPLICATIONS["threaded_tls"]() as server:
        yield server


def test_one_span_for_each_connection(traced: Traced, fresh: Server) -> None:
    """The name is the one that the client asked for; the handshake ends before the first request begins."""
    mark, environment = new_mark(), certificates().environment
    url = f"https://localhost:{fresh.port}/json"
    run_client(TLS_COMMANDS["curl"](), url, mark, 3, "GET", environment=environment)
    requests = traced.backend.expect(3, port=fresh.port, kind=CLIENT)
    (handshake,) = traced.backend.expect(1, port=fresh.port, kind=INTERNAL)
    first = min(requests, key=lambda span: span.start)
    assert (handshake.trace_id, handshake.parent_id) == (first.trace_id, first.span_id)
    assert handshake.name == "TLS client handshake localhost"
    assert handshake.service == "curl"
    assert handshake.attributes["server.address"] == "localhost", handshake.attributes
    assert handshake.attributes["network.peer.port"] == fresh.port, handshake.attributes
    assert not handshake.is_error
    assert handshake.duration > 0
    assert handshake.end <= min(span.start for span in requests)
    check_tls(handshake, "1.3")


def _refuse(port: int, *options: str) -> None:
    command = ["curl", "-s", "--cacert", str(certificates().stranger), *options]
    done = subprocess.run([*command, f"https://localhost:{port}/json"], check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 60, "it should not have trusted the server"


@pytest.mark.parametrize(
    ("options", "errors"),
    [
        pytest.param(("--tls-max", "1.2"), ("unknown_ca",), id="1.2"),
        # In TLS 1.3 the alert is encrypted like what follows it.
        pytest.param((), ("unknown_ca", "encrypted_alert"), id="1.3"),
    ],
)
def test_failure(traced: Traced, fresh: Server, options: tuple[str, ...], errors: tuple[str, ...]) -> None:
    _refuse(fresh.port, *options)
    (handshake,) = traced.backend.expect(1, port=fresh.port, kind=INTERNAL)
    assert handshake.is_error
    assert handshake.attributes["error.type"] in errors, handshake.attributes
    assert len(traced.backend.spans(fresh.port)) == 1, "nothing was asked"


def test_resumed_sessions(traced: Traced, application: Application) -> None:
    """The first connection makes the session, and the others resume it."""
    server, mark, count = application("node_tls"), new_mark(), 5
    url = f"https://localhost:{server.port}/json"
    run_client(RESUMES(), url, mark, count, "GET", environment=certificates().environment)
    for kind in (CLIENT, SERVER):
        spans = traced.backend.expect(count, port=server.port, kind=kind, mark=mark)
        ordered = sorted(spans, key=lambda span: span.start)
        resumed = [span.attributes["tls.resumed"] for span in ordered]
        assert resumed == [False] + [True] * (count - 1)


@pytest.mark.parametrize("name", ["nginx_tls", "nginx_tls_1_2"])
def test_protocol_that_was_agreed_on(traced: Traced, application: Application, name: str) -> None:
    """curl offers HTTP/2 too; nginx takes what it speaks here.

    In TLS 1.3 the choice is encrypted, and only who asks the library for it, as curl does, can be overheard.
    """
    server, mark = application(name), new_mark()
    url = f"https://127.0.0.1:{server.port}/1k.bin"
    run_client(TLS_COMMANDS["curl"](), url, mark, 2, "GET", environment=certificates().environment)
    for kind in (CLIENT,) if name == "nginx_tls" else (CLIENT, SERVER):
        for span in traced.backend.expect(2, port=server.port, kind=kind, mark=mark):
            assert span.attributes["tls.next_protocol"] == "http/1.1", span.attributes


@pytest.mark.parametrize("name", ["nginx_tls", "threaded_tls", "uvicorn_tls", "node_tls"])
def test_sessions_are_counted_by_how_they_were_bound(
    rung: str, start_agent: Callable[..., Traced], application: Application, name: str
) -> None:
    """Each of these can be verified, by a nested call or by its ciphertext, and none is a mismatch."""
    server, context = application(name), certificates().client_context()
    traced = start_agent(rung, config={"discovery": {"include": [{"ports": [server.port]}]}})
    for _ in range(5):
        drive(server.port, ["/json", "/json"], tls=context)
    assert wait_until(lambda: outcomes(traced.backend)["verified"] >= 10, every=0.2), outcomes(traced.backend)
    assert not outcomes(traced.backend)["mismatch"], outcomes(traced.backend)
    assert not outcomes(traced.backend)["unknown"], outcomes(traced.backend)
