"""Two programs that move their bytes by one way into and out of a socket."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from integration.conftest import Traced
from integration.harness.books import since
from integration.harness.build import ways
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import new_mark, parse
from integration.harness.ports import free_port
from integration.harness.program import Program

COUNT = 3
"""Requests of one run, over one connection."""

WAYS_ONLY = {"discovery": {"include": [{"executable": "ways64"}, {"executable": "ways32"}]}}
"""A configuration that observes these programs."""


@dataclass(frozen=True)
class Way:
    """How the two programs move their bytes, and how each leaves."""

    row: str
    bits: int
    into: str = "read"
    out: str = "write"
    client_out: str = ""
    client_end: str = "close"
    server_end: str = "close"


@dataclass(frozen=True)
class Run:
    """What one way did: the counts that were added to the ledger, and how to find its spans."""

    way: Way
    mark: str
    port: int
    counted: Mapping[str, int]


def run_way(traced: Traced, way: Way) -> Run:
    """Play one way to its end; fail if a request was not answered."""
    port, mark, program = free_port(), new_mark(), ways(way.bits)
    before = traced.agent.ledger()
    served = [str(program), "server", str(port), way.into, way.out, way.server_end, str(COUNT)]
    asked = [str(program), "client", str(port), way.into, way.client_out or way.out, way.client_end]
    with Program(served, port=port) as server:
        done = subprocess.run(
            [*asked, str(COUNT), mark], capture_output=True, text=True, timeout=slack(PATIENCE), check=False
        )
        assert done.returncode == 0, f"{way}: {done.stderr}{server.log}"
        wait_until(lambda: not server.running)
    assert [one.status for one in parse(done.stdout.splitlines())] == [200] * COUNT
    return Run(way, mark, port, since(before, traced.agent.ledger()))
