"""Which processes and connections are observed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.build import CLIENTS, SERVERS, go_program
from integration.harness.conversation import Conversation
from integration.harness.measured import drive, new_mark
from integration.harness.odd_cases import OK, get
from integration.harness.ports import free_port
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server, serving, threaded
from integration.harness.spans import CLIENT, SERVER, describe

StartAgent = Callable[..., Traced]
Application = Callable[[str], Server]

# The decision is the core's, the same on every rung.
RUNG = RUNGS[0]


def _rules(include: list[dict[str, Any]], exclude: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"discovery": {"include": include, "exclude": exclude or []}}


@pytest.mark.fast
def test_by_port(start_agent: StartAgent, application: Application) -> None:
    """The listening side's port, so that both ends are observed; nothing of another port."""
    wanted, other = application("threaded"), application("go")
    traced = start_agent(RUNG, config=_rules([{"ports": [wanted.port]}]))
    for server in (wanted, other):
        drive(server.port, ["/json"] * 3)
    for kind in (SERVER, CLIENT):
        traced.backend.expect(3, port=wanted.port, kind=kind)
    requests = (*traced.backend.spans(kind=SERVER), *traced.backend.spans(kind=CLIENT))
    assert {span.port for span in requests} == {wanted.port}


@pytest.mark.fast
def test_by_pid(start_agent: StartAgent, application: Application) -> None:
    """Only that process: the client of the same requests is not observed."""
    server = application("threaded")
    traced = start_agent(RUNG, config=_rules([{"pids": [server.program.pid]}]))
    drive(server.port, ["/json"] * 3)
    traced.backend.expect(3, port=server.port, kind=SERVER)
    traced.backend.expect_none(port=server.port, kind=CLIENT, seconds=0)


def test_by_executable(start_agent: StartAgent, application: Application) -> None:
    """By the path of what runs: the forked workers of nginx, and no other server."""
    server, other = application("nginx"), application("threaded")
    traced = start_agent(RUNG, config=_rules([{"executable": "*/nginx"}]))
    mark = new_mark()
    drive(server.port, ["/1k.bin"] * 3, mark=mark)
    drive(other.port, ["/json"] * 3, mark=mark)
    traced.backend.expect(3, port=server.port, kind=SERVER)
    spans = traced.backend.marked(mark)
    assert {span.service for span in spans} == {"nginx"}, describe(spans)


def test_by_command_line(start_agent: StartAgent) -> None:
    """Of two programs of one interpreter, the one whose arguments fit."""
    with threaded() as wanted, threaded() as other:
        traced = start_agent(RUNG, config=_rules([{"command_line": f"*threaded.py {wanted.port}"}]))
        for server in (wanted, other):
            drive(server.port, ["/json"] * 3)
        traced.backend.expect(3, port=wanted.port, kind=SERVER)
        assert {span.port for span in traced.backend.spans()} == {wanted.port}


def test_all_keys_of_a_rule_must_match(start_agent: StartAgent, application: Application) -> None:
    wanted, other = application("threaded"), application("go")
    rules: list[dict[str, Any]] = [
        {"executable": "*/go_server", "ports": [wanted.port]},
        {"pids": [other.program.pid], "ports": [1]},
    ]
    traced = start_agent(RUNG, config=_rules(rules))
    for server in (wanted, other):
        drive(server.port, ["/json"] * 3)
        traced.backend.expect_none(port=server.port, seconds=0.7)


def test_exclusion_wins(start_agent: StartAgent, application: Application) -> None:
    wanted, other = application("threaded"), application("node")
    rules = _rules([{"ports": [wanted.port, other.port]}], [{"executable": "*/node"}, {"executable": "node"}])
    traced = start_agent(RUNG, config=rules)
    for server in (wanted, other):
        drive(server.port, ["/json"] * 3)
    traced.backend.expect(3, port=wanted.port, kind=SERVER)
    traced.backend.expect_none(port=other.port, kind=SERVER, seconds=0.2)
    # Its client is another process, which no rule excludes.
    traced.backend.expect(3, port=other.port, kind=CLIENT, quiet=0)


@pytest.mark.fast
def test_processes_that_live_for_a_moment(
    rung: str, start_agent: StartAgent, application: Application
) -> None:
    """Programs younger than the agent, gone before their record is read: whole, and by their own name."""
    server = application("threaded")
    only_curl = _rules([{"executable": "*/curl"}, {"executable": "curl"}])
    traced = start_agent(rung, config=only_curl)
    mark = new_mark()
    for i in range(8):
        url = f"http://127.0.0.1:{server.port}/json?n={mark}-{i}"
        subprocess.run(["curl", "-s", "-o", "/dev/null", url], check=True, stdin=subprocess.DEVNULL)
    spans = traced.backend.expect(8, port=server.port)
    assert {(span.kind, span.service, span.status) for span in spans} == {(CLIENT, "curl", 200)}
    assert len({span.pid for span in spans}) == 8


@pytest.mark.parametrize("when", ["before the agent", "after the agent"])
def test_an_executable_that_is_deleted(start_agent: StartAgent, tmp_path: Path, when: str) -> None:
    """As by an upgrade under a running server: it keeps its name, its path and its language."""
    path, port = tmp_path / "till", free_port()
    shutil.copy(go_program(SERVERS / "go_server"), path)
    with ExitStack() as started:
        config = _rules([{"executable": str(path)}])
        traced = start_agent(RUNG, config=config) if when == "after the agent" else None
        server = started.enter_context(serving([path, str(port)], port, "till"))
        path.unlink()
        assert os.readlink(f"/proc/{server.program.pid}/exe").endswith(" (deleted)")
        traced = traced or start_agent(RUNG, config=config)
        drive(port, ["/json"] * 2)
        for span in traced.backend.expect(2, port=port, kind=SERVER):
            wanted = {
                "service.name": "till",
                "process.executable.name": "till",
                "process.executable.path": str(path),
                "process.pid": server.program.pid,
                "process.runtime.name": "go",
                "telemetry.sdk.language": "go",
            }
            assert {key: span.resource.get(key) for key in wanted} == wanted


def test_exec_resets_the_decision(start_agent: StartAgent, application: Application) -> None:
    """One process id, two programs: what was decided of the first does not hold for the second."""
    server = application("threaded")
    traced = start_agent(RUNG, config=_rules([{"command_line": "*requests_client.py*"}]))
    url = f"http://127.0.0.1:{server.port}/json"
    named, unnamed = new_mark(), new_mark()
    client = f"{sys.executable} {CLIENTS / 'requests_client.py'} {url}"
    # The shell's own curl goes first, so that something has been decided of the shell's family.
    both = f"curl -s -o /dev/null '{url}?n={unnamed}'; exec {client} {named} 2 GET"
    subprocess.run(["sh", "-c", both], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    traced.backend.expect(2, port=server.port, kind=CLIENT, mark=named)
    assert not traced.backend.marked(unnamed)


def test_fork_inherits_the_decision(start_agent: StartAgent) -> None:
    """A connection that is served by a child of the process that accepted it."""
    served = [["until", "\r\n\r\n"], ["send", OK], ["eof"]]
    with Conversation(
        [["wait"], ["send", get("/child")], ["until", "hello"], ["close"]], [["pass_on", served]]
    ) as conversation:
        conversation.client.wait_waiting()
        traced = start_agent(RUNG, config=_rules([{"command_line": "*odd_http.py serve *"}]))
        conversation.client.release()
        conversation.finish()
    traced.backend.expect(1, port=conversation.port, kind=SERVER)
    traced.backend.expect_none(port=conversation.port, kind=CLIENT, seconds=0)
