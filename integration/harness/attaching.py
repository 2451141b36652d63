"""What the tests of attaching share: programs with a library of their own, and requests that are all seen."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from integration.conftest import Traced
from integration.harness.asking import Asking
from integration.harness.bindings import bindings
from integration.harness.build import CLIENTS, SERVERS
from integration.harness.certificates import certificates
from integration.harness.compare import attempt, check, check_pairs
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.program import Program
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER

Words = list[str | Path]

COUNT = 6


@contextmanager
def threaded_tls(
    port: int, environment: Mapping[str, str], starter: Sequence[str] = (), stop_signal: int = signal.SIGTERM
) -> Iterator[Server]:
    """Python's threaded HTTPS server, with `starter` in front of its command."""
    made = certificates()
    command: Words = [*starter, sys.executable, SERVERS / "threaded.py", str(port)]
    command += [made.certificate, made.key]
    with Program(command, port=port, environment=environment, stop_signal=stop_signal) as program:
        yield Server(program, port, "threaded")


@contextmanager
def late_tls(port: int, tls_port: int, environment: Mapping[str, str]) -> Iterator[Server]:
    """A server without TLS, which loads TLS and serves at `tls_port` when /load is asked for at `port`."""
    made = certificates()
    command: Words = [sys.executable, SERVERS / "late_tls.py", str(port), str(tls_port)]
    command += [made.certificate, made.key]
    with Program(command, port=port, environment=environment) as program:
        yield Server(program, tls_port, "late_tls")


def asking(environment: Mapping[str, str], starter: Sequence[str] = ()) -> Asking:
    """Return a client that asks when it is told to, with `starter` in front of its command."""
    command: Words = [*starter, sys.executable, CLIENTS / "asking_client.py"]
    return Asking(command, {**certificates().environment, **environment})


def probed(traced: Traced, path: object, files: int = 1) -> None:
    """Wait until so many files that programs know by `path` have probes, and each has a user."""

    def there() -> bool:
        told = traced.agent.status()["tls"]["libraries"]
        return len([one for one in told if one["path"] == str(path) and one["processes"]]) == files

    assert wait_until(there, every=0.05), traced.agent.status()["tls"]


def all_seen(traced: Traced, server: Server, client: Asking | None = None) -> None:
    """Make requests over a new connection; check all spans of both ends, and how they found their sockets.

    Without a client they are this process's own.
    """
    attempt(lambda: _all_seen(traced, server, client))


def _all_seen(traced: Traced, server: Server, client: Asking | None) -> None:
    mark, port, before = new_mark(), server.port, bindings(traced.backend)
    if client is None:
        measured = drive(port, ["/json"] * COUNT, mark=mark, tls=certificates().client_context())
    else:
        measured = client.ask(f"https://127.0.0.1:{port}/json", mark, COUNT)
    servers = traced.backend.expect(COUNT, port=port, kind=SERVER, mark=mark)
    clients = traced.backend.expect(COUNT, port=port, kind=CLIENT, mark=mark)
    asks = client.service if client else ""
    for kind, spans, service in ((SERVER, servers, server.service), (CLIENT, clients, asks)):
        check(kind, spans, measured, port=port, method="GET", service=service, tls="1.3")
    check_pairs(clients, servers, measured)
    assert {span.pid for span in servers} <= set(server.program.pids)
    if client:
        assert {span.pid for span in clients} <= set(client.pids)
    _both_bound(traced, before["api", "verified"] + 2)


def _both_bound(traced: Traced, count: int) -> None:
    """Python names the socket to the library: so many sessions were bound by that, and none by less."""
    bound = wait_until(lambda: bindings(traced.backend)["api", "verified"] >= count, every=0.1)
    told = bindings(traced.backend)
    assert bound, told
    assert not told["none", "unknown"], told
    assert not [way for way in told if way[1] == "mismatch" and told[way]], told
