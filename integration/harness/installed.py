"""Installations of the agent other than this checkout's: a wheel, a package, an image."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration.guest.run import CHECKOUT
from integration.harness import servers
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.build import folder
from integration.harness.limits import slack
from integration.harness.measured import drive, new_mark
from integration.harness.spans import SERVER, SeenSpan


@functools.cache
def dist() -> Path:
    """Build what `make wheel` does: the sdist, and from it the wheel, in an environment made for that."""
    target = folder() / "dist"
    run(sys.executable, "-m", "build", "--outdir", target, CHECKOUT)
    return target


def wheel() -> Path:
    """Return the wheel of `dist`."""
    (found,) = dist().glob("*.whl")
    return found


def alone(program: Path) -> list[str]:
    """Return how a program of a virtual environment is called, with nothing else in PATH: no compiler."""
    return ["env", "--unset=PYTHONPATH", f"PATH={program.parent}", str(program)]


def run(*words: str | Path, limit: float = 300, **options: Any) -> str:
    """Run a command and return its output; fail with all that it said."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=slack(limit),
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{words}: exit status {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def rung_by_doctor(command: Sequence[str]) -> str:
    """Return the way of capture that its `doctor` finds."""
    report = json.loads(run(*command, "doctor", "--json"))
    return str(report["capabilities"]["tcp_payload"]["rung"] or "")


def spans_of_a_server(command: Sequence[str]) -> list[SeenSpan]:
    """Have it watch this host while a server answers three requests; return the server's spans."""
    with (
        servers.threaded("shop") as server,
        Backend() as backend,
        Agent(endpoint=backend.endpoint, command=command),
    ):
        mark = new_mark()
        drive(server.port, ["/json"] * 3, mark=mark)
        spans = backend.expect(3, port=server.port, kind=SERVER, mark=mark)
        assert {span.service for span in spans} == {"shop"}
        assert {span.pid for span in spans} == {server.program.pid}, "not the process's id on the host"
    return spans
