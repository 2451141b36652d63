"""TLS that is left out, by the configuration or as nothing can read it: no requests, and doctor says why."""

from __future__ import annotations

from pathlib import Path

from integration.harness.certificates import certificates
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.program import Program
from integration.harness.provoke import StartAgent, only, reaches
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_exotic import stripped_client
from integration.harness.tls_servers import TLS_SERVERS

# What is left out is settled before any hook for sockets: the same on every rung.
RUNG = RUNGS[0]


def test_a_service_by_its_name(start_agent: StartAgent) -> None:
    """Nothing of its requests over TLS, from the first; those of another service stay."""
    with TLS_SERVERS["threaded_tls"]() as private, TLS_SERVERS["threaded_tls"]() as other:
        naming = [{"match": {"command_line": f"*threaded.py {private.port} *"}, "name": "payments"}]
        config = {
            **only(private.port, other.port),
            "services": naming,
            "tls": {"exclude_services": ["pay*"]},
        }
        traced = start_agent(RUNG, config=config)
        mark = new_mark()
        for server in (private, other):
            for number in range(3):
                name = f"{mark}-{server.port}-{number}"
                drive(server.port, ["/json"] * 2, mark=name, tls=certificates().client_context())
        traced.backend.expect(6, port=other.port, kind=SERVER)
        traced.backend.expect(6, port=private.port, kind=CLIENT)
        traced.backend.expect_none(port=private.port, kind=SERVER, seconds=0.5)
        # Once the kernel knows, plaintext is not even taken.
        before = traced.agent.ledger()["protocol_discovery"]
        drive(private.port, ["/json"] * 5, tls=certificates().client_context())
        traced.backend.expect(11, port=private.port, kind=CLIENT)
        assert traced.agent.ledger()["protocol_discovery"] == before


def test_a_library_by_its_path(start_agent: StartAgent) -> None:
    """No probes at all in the file, and each process that makes handshakes with it is told of."""
    with TLS_SERVERS["threaded_tls"]() as server:
        traced = start_agent(RUNG, config={**only(server.port), "tls": {"exclude": ["*/libssl.so*"]}})
        drive(server.port, ["/json"] * 3, tls=certificates().client_context())
        assert wait_until(lambda: traced.agent.unread(server.program.pid))
        assert traced.agent.unread(server.program.pid) == "excluded"
        traced.backend.expect_none(port=server.port, seconds=0)


def test_a_program_without_names(start_agent: StartAgent) -> None:
    """A library within a stripped executable: its handshake is seen, and what follows counted."""
    with TLS_SERVERS["threaded_tls"]() as server:
        config = {"discovery": {"include": [{"executable": "*/stripped_client"}]}}
        traced = start_agent(RUNG, config=config)
        url = f"https://127.0.0.1:{server.port}/json"
        command: list[str | Path] = [stripped_client(), url, new_mark(), "1000000", "GET"]
        with Program(command, environment=certificates().environment) as client:
            assert wait_until(lambda: traced.agent.unread(client.pid))
            assert traced.agent.unread(client.pid) == "no_symbols"
            reaches(traced, "event_ciphertext", 100)
        assert traced.agent.ledger()["signal_handshake_seen"] > 0
        traced.backend.expect_none(port=server.port, seconds=0)
