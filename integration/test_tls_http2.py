"""HTTP/2 that ALPN chose: recognised over TLS, told of by service, and not read."""

from __future__ import annotations

import subprocess
from collections import Counter

from integration.harness.backend import Backend
from integration.harness.books import imbalances, settled
from integration.harness.certificates import certificates
from integration.harness.go_programs import LOCAL, Build
from integration.harness.limits import wait_until
from integration.harness.provoke import StartAgent, only
from integration.harness.rungs import RUNGS
from integration.harness.tls_exotic import GO_SERVICES, go_tls_server

# What a library passes reaches the same code on every rung.
RUNG = RUNGS[0]


def _unsupported(backend: Backend) -> Counter[str]:
    """Return connections of HTTP/2 by service, as the newest metrics have them."""
    newest: dict[tuple[str, str], int] = {}
    for metric in backend.receiver.metrics("ebpf.ledger.records"):
        instance = repr(sorted(map(repr, metric.resource.items())))
        for point in metric.points:
            if point.attributes.get("network.protocol.name") == "http2":
                assert point.attributes["reason"] == "unsupported_protocol", point
                newest[str(metric.resource["service.name"]), instance] = int(point.value)
    found: Counter[str] = Counter()
    for (service, _), count in newest.items():
        found[service] += count
    return found


def test_connections_are_counted_by_service(start_agent: StartAgent) -> None:
    """Three of curl's, to a server in Go: both ends see each, and no request is made up of its frames."""
    count = 3
    with go_tls_server(Build(LOCAL, False), {}) as server:
        traced = start_agent(RUNG, config=only(server.port))
        command = ["curl", "-s", "--http2", "--cacert", str(certificates().authority), "-o", "/dev/null"]
        command += ["-w", "%{http_version}", f"https://localhost:{server.port}/json"]
        for _ in range(count):
            done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            assert done.stdout == b"2"
        due = {"curl": count, GO_SERVICES["server"]: count}
        assert wait_until(lambda: _unsupported(traced.backend) == due), _unsupported(traced.backend)
        ledger = settled(traced.agent.ledger)
        assert ledger["signal_seen"] == ledger["protocol_unknown"] == 0, ledger
        assert not imbalances(ledger), imbalances(ledger)
        traced.backend.expect_none(port=server.port, seconds=0)
