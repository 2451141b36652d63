"""Clients of every kind, each judged by its own clock."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

import pytest

from integration.conftest import Traced
from integration.harness.build import CLIENTS
from integration.harness.clients import COMMANDS, SERVICES
from integration.harness.compare import NEAR, attempt, check, check_pairs
from integration.harness.limits import slack, wait_until
from integration.harness.measured import new_mark, run_client
from integration.harness.ports import free_port
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER

Application = Callable[[str], Server]


def _check(
    traced: Traced, server: Server, name: str, path: str, method: str, count: int, near: int = NEAR
) -> None:
    attempt(lambda: _attempt(traced, server, name, path, method, count, near))


def _attempt(
    traced: Traced, server: Server, name: str, path: str, method: str, count: int, near: int
) -> None:
    mark = new_mark()
    url = f"http://127.0.0.1:{server.port}{path}"
    measured = run_client(COMMANDS[name](), url, mark, count, method)
    assert [one.status for one in measured] == [200] * count
    clients = traced.backend.expect(count, port=server.port, kind=CLIENT, mark=mark)
    servers = traced.backend.expect(count, port=server.port, kind=SERVER, mark=mark)
    check(CLIENT, clients, measured, port=server.port, method=method, service=SERVICES[name], near=near)
    check(SERVER, servers, measured, port=server.port, method=method, service=server.service, near=near)
    check_pairs(clients, servers, measured)
    assert len({span.pid for span in clients}) == 1


@pytest.mark.fast
@pytest.mark.parametrize("name", COMMANDS)
def test_get(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application("threaded"), name, "/json", "GET", 8)


@pytest.mark.parametrize("name", COMMANDS)
def test_post(traced: Traced, application: Application, name: str) -> None:
    _check(traced, application("threaded"), name, "/echo", "POST", 6)


@pytest.mark.parametrize("name", COMMANDS)
def test_large_chunked_and_slow(traced: Traced, application: Application, name: str) -> None:
    """Against a server of another runtime, whose answers take their time."""
    server = application("go")
    # The slower runtimes go on copying 1 MiB when its last byte has long been received.
    _check(traced, server, name, "/big", "GET", 10, near=8 * NEAR)
    _check(traced, server, name, "/chunked", "GET", 10)
    _check(traced, server, name, "/slow", "GET", 6)


def test_refused_connection_makes_no_span(traced: Traced) -> None:
    """No byte of a request was ever sent."""
    port = free_port()
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/"], check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 7
    traced.backend.expect_none(port=port, seconds=0.5)


def _wrk(server: Server, deep: int) -> int:
    script, pace = (["-s", str(CLIENTS / "pipeline.lua")], ["--", "20"]) if deep > 1 else ([], [])
    command = ["wrk", "-t1", "-c2", "-d1s", *script, f"http://127.0.0.1:{server.port}/json", *pace]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found, done.stdout
    return int(found[1])


@pytest.mark.parametrize("deep", [1, 16], ids=["in_turn", "pipelined"])
def test_wrk(traced: Traced, application: Application, deep: int) -> None:
    """As many spans as wrk had answers, and at most those that it had in flight when it left."""
    server = application("threaded")
    before = {kind: len(traced.backend.spans(server.port, kind)) for kind in (CLIENT, SERVER)}
    losses = _losses(traced)
    answered = _wrk(server, deep)

    def made(kind: int) -> int:
        return len(traced.backend.spans(server.port, kind)) - before[kind]

    arrived = wait_until(lambda: made(SERVER) >= answered and made(CLIENT) >= answered, every=0.2)
    assert _losses(traced) == losses
    assert arrived, f"{answered} requests, {made(CLIENT)} client spans, {made(SERVER)} server spans"
    time.sleep(slack(0.5))
    for kind in (CLIENT, SERVER):
        assert made(kind) <= answered + 2 * deep


def _losses(traced: Traced) -> dict[str, int]:
    """Losses that would make this test's comparison a comparison of something else."""
    ledger = traced.agent.ledger()
    names = ("exchange_ring_full", "piece_ring_full", "export_queue_full")
    return {name: ledger[name] for name in names}
