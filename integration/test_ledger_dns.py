"""Each reason for which a lookup of a name is not told of, provoked."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.books import imbalances
from integration.harness.build import c_program
from integration.harness.fixtures import resolving
from integration.harness.limits import wait_until
from integration.harness.lookups import lookups
from integration.harness.measured import new_mark
from integration.harness.name_server import DNS_PROGRAMS, NameServer
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.provoke import StartAgent, only, paused, reaches
from integration.harness.rungs import RUNGS

__all__ = ["resolving"]

# The hooks are the same on every rung.
pytestmark = pytest.mark.one_rung

RUNG = RUNGS[0]
QUESTIONS = [sys.executable, str(DNS_PROGRAMS / "questions.py")]
OBSERVED = {"discovery": {"include": [{"command_line": "*.test*"}]}}


def library() -> list[str]:
    return [str(c_program(DNS_PROGRAMS / "lookups.c")), "getaddrinfo"]


def names(what: str, count: int) -> list[str]:
    return [f"{what}.{new_mark()}.test" for _ in range(count)]


def balances(traced: Traced) -> None:
    assert wait_until(lambda: not imbalances(traced.agent.ledger())), imbalances(traced.agent.ledger())


def test_ring_without_room(start_agent: StartAgent, resolving: NameServer) -> None:
    """lookup_ring_full, datagram_ring_full: nobody reads."""
    traced = start_agent(RUNG, config={**OBSERVED, "capture": {"ring_bytes": 4096}})
    with paused(traced):
        resolving.run([*library(), *names("plain", 30)])
        resolving.run([*QUESTIONS, "connected", *names("plain", 30)])
    reaches(traced, "lookup_ring_full", 20)
    reaches(traced, "datagram_ring_full", 50)
    balances(traced)


def test_processes_that_are_excluded(start_agent: StartAgent, resolving: NameServer) -> None:
    """lookup_discovery, datagram_discovery: from when the kernel has been told."""
    traced = start_agent(RUNG, config={"discovery": {"exclude": [{"command_line": "*.test*"}]}})
    resolving.run([*library(), *(asked := names("slow", 4))])
    reaches(traced, "lookup_discovery", 2)
    resolving.run([*QUESTIONS, "connected", *(also := names("slow", 4))])
    reaches(traced, "datagram_discovery", 4)
    for name in (*asked, *also):
        lookups(traced.backend, name, 0)
    balances(traced)


def test_rules_for_ports(start_agent: StartAgent, resolving: NameServer) -> None:
    """signal_lookup_discovery, protocol_datagram_discovery: a lookup has the port 53."""
    traced = start_agent(RUNG, config=only(free_port()))
    resolving.run([*library(), *(asked := names("plain", 2))])
    resolving.run([*QUESTIONS, "connected", *(also := names("plain", 2))])
    reaches(traced, "signal_lookup_discovery", 2)
    reaches(traced, "protocol_datagram_discovery", 4)
    for name in (*asked, *also):
        lookups(traced.backend, name, 0)
    balances(traced)


def test_call_whose_entry_is_forgotten(start_agent: StartAgent, resolving: NameServer) -> None:
    """lookup_unread: as when thousands of others are in progress."""
    traced = start_agent(RUNG, config=OBSERVED)
    calls = _map(traced.agent.pid, "lookups")
    (name,) = names("silent", 1)
    with Program(resolving.within(*library(), name)) as running:
        assert wait_until(lambda: _keys(calls))
        for key in _keys(calls):
            subprocess.run(["bpftool", "map", "delete", "id", str(calls), "key", *key], check=True)
        assert wait_until(lambda: not running.running)
    reaches(traced, "lookup_unread", 1)
    lookups(traced.backend, name, 0)
    balances(traced)


def _map(pid: int, name: str) -> int:
    """Return the id of a map of an agent."""
    held = set()
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            lines = entry.read_text().splitlines()
            held |= {int(line.split()[1]) for line in lines if line.startswith("map_id:")}
    shown = subprocess.run(["bpftool", "-j", "map", "show"], capture_output=True, text=True, check=True)
    return next(
        int(one["id"]) for one in json.loads(shown.stdout) if one["id"] in held and one["name"] == name
    )


def _keys(number: int) -> list[list[str]]:
    """Return the keys of a map, as bpftool writes and wants them."""
    command = ["bpftool", "-j", "map", "dump", "id", str(number)]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True)
    return [one["key"] for one in json.loads(dumped.stdout)]
