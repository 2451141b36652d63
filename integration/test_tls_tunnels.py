"""HTTPS through a proxy's tunnel, which may itself be encrypted: then one session's ciphertext is the other's
plaintext."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.attaching import COUNT, threaded_tls
from integration.harness.bindings import Way, settled_bindings
from integration.harness.build import SERVERS
from integration.harness.certificates import certificates
from integration.harness.clients import COMMANDS
from integration.harness.compare import attempt, check, check_scheme, one_for_each
from integration.harness.measured import new_mark, run_client
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.provoke import StartAgent
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER, SeenSpan, describe

# What is within a library's call does not depend on the rung.
RUNG = RUNGS[0]


@contextmanager
def _proxy(scheme: str, port: int) -> Iterator[None]:
    made = certificates()
    pair: list[str | Path] = [made.certificate, made.key] if scheme == "https" else []
    with Program([sys.executable, SERVERS / "connect_proxy.py", str(port), *pair], port=port):
        yield


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_curl_through_a_proxy(start_agent: StartAgent, tmp_path: Path, scheme: str) -> None:
    """Each request once at either end, as without a proxy; and CONNECT, which is the proxy's."""
    port, proxy = free_port(), free_port()
    settings = {"proxy": f"{scheme}://127.0.0.1:{proxy}", "proxy-cacert": str(certificates().authority)}
    (tmp_path / ".curlrc").write_text("".join(f'{key} = "{value}"\n' for key, value in settings.items()))
    environment = {**certificates().environment, "CURL_HOME": str(tmp_path)}
    # The session in the tunnel has no port of its own.
    include = [{"ports": [port, proxy]}, {"executable": "*/curl"}]
    with threaded_tls(port, {}) as server, _proxy(scheme, proxy):
        traced = start_agent(RUNG, config={"discovery": {"include": include}})

        def once() -> None:
            sums = settled_bindings(traced.backend)
            mark, before = new_mark(), len(_tunnels(traced.backend.spans(), CLIENT))
            url = f"https://127.0.0.1:{port}/json"
            measured = run_client(COMMANDS["curl"](), url, mark, COUNT, "GET", environment=environment)
            servers = traced.backend.expect(COUNT, port=port, kind=SERVER, mark=mark)
            check(SERVER, servers, measured, port=port, method="GET", service=server.service, tls="1.3")
            clients = traced.backend.expect(COUNT, port=port, kind=CLIENT, mark=mark)
            for mark, span in one_for_each(clients, measured).items():
                assert str(span.attributes["url.full"]) == f"{url}?n={mark}", span.attributes
                assert (span.service, span.status) == ("curl", 200), span
                check_scheme(span, "https")
                assert "network.peer.port" not in span.attributes, span.attributes
            for kind in (CLIENT, SERVER):
                tunnels = _tunnels(traced.backend.spans(), kind)
                assert len(tunnels) == before + 1, describe(tunnels)
                assert tunnels[-1].status == 200
                check_scheme(tunnels[-1], scheme)
            _sessions_counted(traced, sums, scheme)

        attempt(once)


def _sessions_counted(traced: Traced, before: Mapping[Way, int], scheme: str) -> None:
    """The one in the tunnel has no socket; the server's has, and so have both ends of the proxy's own."""
    after = settled_bindings(traced.backend)
    told = {way: after[way] - before.get(way, 0) for way in after if after[way] > before.get(way, 0)}
    verified = (
        {("api", "verified"): 2, ("nested", "verified"): 1} if scheme == "https" else {("api", "verified"): 1}
    )
    assert told == {("none", "unknown"): 1, **verified}, told


def _tunnels(spans: list[SeenSpan], kind: int) -> list[SeenSpan]:
    return [span for span in spans if span.method == "CONNECT" and span.kind == kind]
