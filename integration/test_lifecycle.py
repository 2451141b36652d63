"""Start, stop, and what is left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.agent import COMMAND, Agent, AgentError
from integration.harness.backend import Backend
from integration.harness.held import all_ids, children, held_by
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import drive
from integration.harness.rungs import RUNGS
from integration.harness.servers import threaded
from integration.harness.spans import SERVER

StartAgent = Callable[..., Traced]


@pytest.mark.fast
def test_ready(rung: str, start_agent: StartAgent) -> None:
    agent = start_agent(rung).agent
    status = agent.status()
    assert status["pid"] in {agent.pid, *children(agent.pid)}
    assert agent.rung_in_use() == rung
    assert sum("ready" in line for line in agent.log.splitlines()) == 1, agent.log


@pytest.mark.fast
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_leaves_nothing(rung: str, start_agent: StartAgent, number: int) -> None:
    """Status 0, its last spans flushed, and no program, link or socket left."""
    with threaded() as server:
        environment = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}
        rules = {"discovery": {"include": [{"pids": [server.program.pid]}]}}
        traced = start_agent(rung, environment=environment, config=rules)
        agent = traced.agent
        programs, links = held_by(agent.pid, "prog"), held_by(agent.pid, "link")
        assert programs
        drive(server.port, ["/json"] * 10)
        # Once connected: on a busy host that can take the time that a stop has for its last spans.
        assert wait_until(lambda: agent.ledger()["export_passed"] == 8)
        agent.stop(number)
        traced.backend.expect(10, port=server.port, kind=SERVER)
    assert not programs & all_ids("prog")
    assert not links & all_ids("link")
    assert not agent.status_socket.exists()


@pytest.mark.fast
def test_many_signals_are_as_good_as_one(start_agent: StartAgent) -> None:
    """A terminal's and a supervisor's come at once, and again until it has gone."""
    agent = start_agent().agent
    enough = time.monotonic() + 1.0
    while time.monotonic() < enough:
        os.kill(agent.pid, signal.SIGTERM)
        os.kill(agent.pid, signal.SIGINT)
    agent.stop()


def test_stop_under_load(rung: str, start_agent: StartAgent) -> None:
    with threaded() as server:
        agent = start_agent(rung).agent
        load = subprocess.Popen(
            ["wrk", "-t1", "-c8", "-d3s", f"http://127.0.0.1:{server.port}/json"],
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        try:
            time.sleep(0.7)
            agent.stop()
        finally:
            load.kill()
            load.wait()


@pytest.mark.fast
@pytest.mark.guest
def test_kill_leaves_nothing(rung: str, start_agent: StartAgent) -> None:
    """The kernel lets go of what a killed agent held: nothing is pinned."""
    agent = start_agent(rung).agent
    programs, links = held_by(agent.pid, "prog"), held_by(agent.pid, "link")
    family = children(agent.pid)
    assert programs
    agent.kill()
    assert wait_until(lambda: not programs & all_ids("prog")), "programs outlive the agent"
    assert wait_until(lambda: not links & all_ids("link")), "links outlive the agent"
    assert wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in family))


def test_killed_agent_can_be_followed_by_another(start_agent: StartAgent) -> None:
    """The status socket that a killed one left is no obstacle."""
    with Backend() as backend, threaded() as server:
        first = start_agent(RUNGS[0], backend=backend).agent
        first.kill()
        first.launch()
        first.wait_ready()
        drive(server.port, ["/json"] * 3)
        backend.expect(3, port=server.port, kind=SERVER)


def test_forced_rung_that_cannot_be_had() -> None:
    """Exit status 3, and a message that names the rung; never a silent fall."""
    # A kernel without kprobes lacks that rung; older ones that have them lack the other, and 6.12 has all.
    missing = "socket_trace" if Path("/sys/bus/event_source/devices/kprobe").exists() else "kprobe"
    agent = Agent(endpoint="http://127.0.0.1:1", rung=missing)
    try:
        agent.launch()
        assert agent.wait_exit() == 3, agent.log
        assert missing in agent.log
        assert "Traceback" not in agent.log
    finally:
        agent.close()


def test_wrong_configuration_is_named(start_agent: StartAgent) -> None:
    with pytest.raises(AgentError, match=r"capture\.ring_bytes") as caught:
        start_agent(config={"capture": {"ring_bytes": "many"}})
    assert "Traceback" not in str(caught.value)


def test_systemd_is_told(tmp_path: Path) -> None:
    """sd_notify(3): READY=1 once attached, STOPPING=1 on the way out."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(slack(PATIENCE))
        with Backend() as backend:
            environment = {"NOTIFY_SOCKET": str(path)}
            with Agent(endpoint=backend.endpoint, environment=environment) as agent:
                assert b"READY=1" in notify.recv(4096)
                agent.stop()
            assert b"STOPPING=1" in notify.recv(4096)


@pytest.mark.fast
@pytest.mark.guest
def test_doctor_agrees_with_the_agent(start_agent: StartAgent) -> None:
    """The command, run beside it, speaks of the same rung as the one that runs by itself."""
    agent = start_agent().agent
    done = subprocess.run(
        [*COMMAND, "doctor", "--json"], capture_output=True, text=True, check=False, timeout=slack(PATIENCE)
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["capabilities"]["tcp_payload"]["rung"] == agent.rung_in_use(), done.stdout


def test_no_file_is_left_open_or_behind(start_agent: StartAgent) -> None:
    """Under load for a moment, then idle: as many descriptors as before."""
    with threaded() as server:
        agent = start_agent().agent
        drive(server.port, ["/json"] * 5)
        before = len(os.listdir(f"/proc/{agent.pid}/fd"))
        for _ in range(20):
            drive(server.port, ["/json"])
            agent.status()
        assert wait_until(lambda: len(os.listdir(f"/proc/{agent.pid}/fd")) <= before + 2)


def test_a_low_limit_of_open_files_is_raised(rung: str, start_agent: StartAgent) -> None:
    """Each program of each probed file takes one: the usual 1,024 are too few for a host of many runtimes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    agent = start_agent(rung, command=["prlimit", "--nofile=64:", *COMMAND]).agent
    (allowed,) = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)[:1]
    assert allowed == min(hard, 65_536)


def test_where_no_more_files_may_be_open_it_says_so(start_agent: StartAgent) -> None:
    with pytest.raises(AgentError, match=r"exit status 1") as caught:
        start_agent(command=["prlimit", "--nofile=1000:1000", *COMMAND])
    assert "LimitNOFILE" in str(caught.value)
    assert "this is a fault" not in str(caught.value)
