"""What TLS adds to the ledger, each provoked: without its increment a test here fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from integration.harness.books import imbalances, settled
from integration.harness.build import PROGRAMS
from integration.harness.certificates import certificates
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port
from integration.harness.provoke import StartAgent, notices_arrive, only, paused, reaches
from integration.harness.tls_servers import TLS_SERVERS

HANDSHAKES = 5


def test_handshakes_are_no_exchanges(rung: str, start_agent: StartAgent) -> None:
    """exchange_encrypted: once for each end; and each handshake's notice arrives."""
    with TLS_SERVERS["threaded_tls"]() as server:
        traced = start_agent(rung, config=only(server.port))
        mark = new_mark()
        for number in range(HANDSHAKES):
            drive(server.port, ["/json"], mark=f"{mark}-{number}", tls=certificates().client_context())
        traced.backend.expect(2 * HANDSHAKES, port=server.port, mark=mark)
        ledger = settled(traced.agent.ledger)
        assert ledger["exchange_encrypted"] >= 2 * HANDSHAKES, ledger
        assert ledger["signal_handshake_seen"] >= 2 * HANDSHAKES, ledger
        assert not imbalances(ledger), imbalances(ledger)
        notices_arrive(traced, 2 * HANDSHAKES)


def test_what_is_read_is_no_ciphertext_too(rung: str, start_agent: StartAgent) -> None:
    """event_ciphertext: what a connection has before its first request, and none of requests."""
    with TLS_SERVERS["threaded_tls"]() as server:
        traced = start_agent(rung, config=only(server.port))
        counted = []
        for requests in (1, 20):
            mark = new_mark()
            drive(server.port, ["/json"] * requests, mark=mark, tls=certificates().client_context())
            traced.backend.expect(2 * requests, port=server.port, mark=mark)
            ledger = settled(traced.agent.ledger)
            counted.append(ledger["event_ciphertext"])
        first, both = counted
        assert both - first <= first, counted
        assert ledger["protocol_unknown"] == 0, ledger
        assert not imbalances(ledger), imbalances(ledger)


def test_executables_are_told_of_once(rung: str, start_agent: StartAgent, tmp_path: Path) -> None:
    """notice_passed: a program that nobody has run before, and not again when it is run again."""
    traced = start_agent(rung, config=only(free_port()))
    known = shutil.copy("/bin/true", tmp_path / "known")
    for _ in range(2):
        subprocess.run([known], check=True)
    notices_arrive(traced, 1)
    before = traced.agent.ledger()["notice_passed"]
    subprocess.run([known], check=True)
    new = [shutil.copy("/bin/true", tmp_path / f"new-{number}") for number in range(8)]
    for program in new:
        subprocess.run([program], check=True)
    notices_arrive(traced, before + len(new))


def test_tls_notices_without_room(rung: str, start_agent: StartAgent, tmp_path: Path) -> None:
    """notice_ring_full: programs and handshakes that come while nobody reads and the ring is full."""
    with TLS_SERVERS["threaded_tls"]() as server:
        traced = start_agent(rung, config={**only(server.port), "capture": {"ring_bytes": 4096}})
        drive(server.port, ["/json"], tls=certificates().client_context())
        new = [shutil.copy("/bin/true", tmp_path / f"new-{number}") for number in range(40)]
        with paused(traced):
            drive(server.port, ["/json"] * 40, tls=certificates().client_context())
            for program in new:
                subprocess.run([program], check=True)
            before = traced.agent.ledger
            for _ in range(20):
                drive(server.port, ["/json"], tls=certificates().client_context())
        # Forty programs, and both ends of twenty handshakes; a few small notices may find a last gap.
        reaches(traced, "notice_ring_full", 70)
        assert before()["exchange_ring_full"] > 0


def test_a_library_that_is_not_read(rung: str, start_agent: StartAgent) -> None:
    """event_ciphertext: what passes behind the handshake, where no probe tells what it is."""
    with TLS_SERVERS["threaded_tls"]() as server:
        config = {**only(server.port), "tls": {"enabled": False}}
        traced = start_agent(rung, config=config)
        mark = new_mark()
        drive(server.port, ["/json"] * 10, mark=mark, tls=certificates().client_context())
        reaches(traced, "event_ciphertext", 40)
        ledger = settled(traced.agent.ledger)
        assert not traced.backend.spans(server.port), "nobody could have read them"
        assert not imbalances(ledger), imbalances(ledger)


def test_session_that_was_taken_for_the_other_end(rung: str, start_agent: StartAgent) -> None:
    """exchange_mismatch: a greeting, of a session whose socket is known when it is sent and not before."""
    port, count = free_port(), 6
    traced = start_agent(rung, config=only(port))
    made = certificates()
    program = PROGRAMS / "greeting_tls.py"
    command = [sys.executable, program, made.certificate, made.key, str(port), str(count)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    reaches(traced, "exchange_mismatch", count)
    ledger = settled(traced.agent.ledger)
    assert not imbalances(ledger), imbalances(ledger)
