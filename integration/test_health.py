"""The agent's own health: probes, scrapes, its metrics and its log, of the real agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from integration.conftest import Traced
from integration.harness.agent import COMMAND, Agent
from integration.harness.backend import Backend
from integration.harness.limits import DIES_WITH_US, PATIENCE, slack, wait_until
from integration.harness.measured import drive
from integration.harness.one_thread import stopped_thread
from integration.harness.ports import free_port
from integration.harness.private_library import libraries
from integration.harness.rungs import RUNGS
from integration.harness.servers import threaded
from integration.harness.spans import CLIENT, SERVER
from otel_ebpf.health import GRACE_SECONDS
from tests.otlp_receiver import Answer, ReceivedMetric

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]
OWN_UNITS = {
    "otel.sdk.processor.span.queue.size": "{span}",
    "otel.sdk.processor.span.queue.capacity": "{span}",
    "ebpf.metric_data_point.queue.size": "{data_point}",
    "ebpf.metric_data_point.queue.capacity": "{data_point}",
    "ebpf.probe.attached": "{probe}",
    "ebpf.program.runs": "{run}",
    "ebpf.program.run.time": "s",
    "process.cpu.time": "s",
    "process.memory.usage": "By",
}


class Probe:
    """Asks the agent's listener, as a service manager does."""

    def __init__(self) -> None:
        self.port = free_port()

    def telemetry(self, **more: Any) -> dict[str, Any]:
        listen = {"listen": f"127.0.0.1:{self.port}", "metrics": True}
        return {"telemetry": {"health": listen, **more}}

    def ask(self, path: str, seconds: float = PATIENCE) -> tuple[int, str]:
        """Return the status and the text; (0, "") where nothing answers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=slack(seconds))
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, HTTPException):
            return 0, ""
        finally:
            connection.close()

    def ledger(self) -> dict[tuple[str, ...], float]:
        """Scrape the ledger: by stage, outcome and reason."""
        return {
            tuple(sample.labels.get(name, "") for name in ("stage", "outcome", "reason")): sample.value
            for family in text_string_to_metric_families(self.ask("/metrics")[1])
            for sample in family.samples
            if family.name == "ebpf_ledger_records"
        }


@pytest.fixture
def probe() -> Probe:
    return Probe()


def health(agent: Agent, *options: str) -> tuple[int, str]:
    """Run `otel-ebpf health` beside an agent."""
    done = subprocess.run(
        [*agent.command("health"), *options], capture_output=True, text=True, check=False, timeout=slack(60)
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


@contextmanager
def launched(probe: Probe) -> Iterator[Agent]:
    with Backend() as backend:
        agent = Agent(endpoint=backend.endpoint, rung=RUNG, config=probe.telemetry())
        try:
            agent.launch()
            yield agent
        finally:
            agent.close()


def test_from_start_to_end(probe: Probe) -> None:
    """Alive from the start, ready when everything is attached and not before, and no longer at the end."""
    with launched(probe) as agent:
        assert wait_until(lambda: probe.ask("/healthz")[0] == 200, every=0.005)
        status, reason = probe.ask("/readyz")
        assert (status, "its probes are not attached yet" in reason) == (503, True)
        assert probe.ask("/metrics")[0] == 503
        agent.wait_ready()
        assert probe.ask("/readyz") == (200, "ready\n")
        assert health(agent) == (0, "alive\n")
        assert health(agent, "--ready") == (0, "ready\n")
        agent.stop()
        assert probe.ask("/healthz")[0] == 0
        code, said = health(agent, "--ready")
        assert (code, said.count("\n")) == (1, 1)
        assert "no agent answers" in said


def test_not_ready_while_it_stops(probe: Probe) -> None:
    """A backend that hangs makes the stop take its full time, in which it is alive and not ready."""
    with Backend() as backend, threaded() as server:
        backend.receiver.answer = Answer(hang=60.0)
        config = {**probe.telemetry(), "discovery": {"include": [{"ports": [server.port]}]}}
        agent = Agent(endpoint=backend.endpoint, rung=RUNG, config=config)
        try:
            agent.launch()
            agent.wait_ready()
            drive(server.port, ["/json"])
            assert wait_until(lambda: agent.ledger()["export_in_flight"])
            agent.signal(signal.SIGTERM)
            assert wait_until(lambda: probe.ask("/readyz") == (503, "the agent is stopping\n"), every=0.005)
            assert probe.ask("/healthz")[0] in {200, 0}
            assert agent.wait_exit() == 0
        finally:
            agent.close()


def test_a_backend_that_hangs_makes_nobody_unhealthy(start_agent: StartAgent, probe: Probe) -> None:
    with threaded() as server:
        config = {**probe.telemetry(), "discovery": {"include": [{"ports": [server.port]}]}}
        traced = start_agent(RUNG, config=config, environment={"OTEL_EXPORTER_OTLP_TIMEOUT": "500"})
        traced.backend.receiver.answer = Answer(hang=60.0)
        drive(server.port, ["/json"] * 5)
        assert wait_until(lambda: "attempts to send" in traced.agent.log)
        # Longer than a hung thread is forgiven.
        until = time.monotonic() + GRACE_SECONDS + 3
        while time.monotonic() < until:
            assert probe.ask("/healthz") == (200, "alive\n")
            assert probe.ask("/readyz") == (200, "ready\n")
            time.sleep(0.2)


def test_a_reader_that_hangs(start_agent: StartAgent, probe: Probe) -> None:
    """The thread that reads is stopped, and it alone: that is told until it goes on."""
    idle = {"discovery": {"include": [{"ports": [free_port()]}]}}
    traced = start_agent(RUNG, config={**probe.telemetry(), **idle})

    def others_go_on() -> bool:
        """Say whether the listener answers, not once by chance."""
        return all(probe.ask("/healthz", 2.0)[0] == 200 for _ in range(20))

    with stopped_thread(traced.agent.pid, others_go_on):
        assert wait_until(lambda: probe.ask("/healthz", 2.0)[0] == 503, every=0.2), probe.ask("/healthz", 2.0)
        reason = probe.ask("/healthz")[1]
        assert reason.startswith("the thread that reads the kernel's records has made no progress for ")
        assert probe.ask("/readyz") == (503, probe.ask("/healthz")[1])
        code, said = health(traced.agent)
        assert (code, "made no progress" in said) == (1, True)
    assert wait_until(lambda: probe.ask("/readyz") == (200, "ready\n"))
    assert health(traced.agent) == (0, "alive\n")


def _of_the_agent(traced: Traced) -> dict[str, ReceivedMetric]:
    """Return the last of each metric of its own. (Another agent on this host is a service like any other.)"""
    every = traced.backend.receiver.metrics()
    return {metric.name: metric for metric in every if "process.pid" not in metric.resource}


def _by(metric: ReceivedMetric, *names: str) -> dict[tuple[str, ...], float]:
    return {tuple(point.attributes.get(name, "") for name in names): point.value for point in metric.points}


def test_the_scrape_says_what_the_others_say(start_agent: StartAgent, probe: Probe) -> None:
    """The same ledger by scrape, by OTLP and by doctor."""
    with threaded() as server:
        config = {**probe.telemetry(), "discovery": {"include": [{"ports": [server.port]}]}}
        traced = start_agent(RUNG, config=config)
        drive(server.port, ["/json"] * 20)
        traced.backend.expect(20, port=server.port, kind=SERVER)
        passed, seen = ("export.span", "passed", ""), ("kernel.exchange", "seen", "")

        def exported() -> list[float]:
            every = traced.backend.receiver.metrics("ebpf.ledger.records")
            own = [one for one in every if "process.pid" not in one.resource and one.monotonic]
            return [_by(one, "stage", "outcome", "reason")[passed] for one in own][-1:]

        told = traced.agent.ledger()["export_passed"]
        assert told >= 20
        assert wait_until(lambda: exported() == [told]), exported()
        assert wait_until(lambda: probe.ledger()[passed] == told)
        # The host's other traffic goes on: the two are read one after the other until nothing came between.
        assert wait_until(lambda: probe.ledger()[seen] == traced.agent.ledger()["exchange_seen"] >= 20)


def test_what_the_agent_has_of_its_own(start_agent: StartAgent, probe: Probe) -> None:
    """Queues, probes, run times and what it takes: by OTLP and by scrape."""
    with threaded() as server:
        only = {"discovery": {"include": [{"ports": [server.port]}]}}
        traced = start_agent(RUNG, config={**probe.telemetry(bpf_statistics=True), **only})
        drive(server.port, ["/json"] * 5)
        assert wait_until(lambda: _of_the_agent(traced).keys() >= OWN_UNITS.keys()), _of_the_agent(
            traced
        ).keys()
        every = _of_the_agent(traced)
        assert {name: every[name].unit for name in OWN_UNITS} == OWN_UNITS
        scraped = {family.name for family in text_string_to_metric_families(probe.ask("/metrics")[1])}
        suffixes = {"s": "_seconds", "By": "_bytes"}
        due = {name.replace(".", "_") + suffixes.get(unit, "") for name, unit in OWN_UNITS.items()}
        assert due <= scraped
        assert _by(every["ebpf.probe.attached"], "capability", "kind")["tcp_payload", RUNG] >= 1
        assert _by(every["ebpf.program.runs"], "program")["visit_all",] > 0
        memory = every["process.memory.usage"].points[0].value
        assert 0.5 < memory / traced.agent.resident_bytes() < 2


def test_what_is_refused_is_counted(start_agent: StartAgent, probe: Probe) -> None:
    """Without CAP_SYS_ADMIN the kernel times no programs: that is told by OTLP, by scrape and by doctor."""
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    config = {**probe.telemetry(bpf_statistics=True), "discovery": {"include": [{"ports": [free_port()]}]}}
    traced = start_agent(RUNG, config=config, command=[*without, *COMMAND])
    (refused,) = traced.agent.doctor()["bpf_statistics"]["refused"]
    failures = "ebpf.probe.attach.failures"
    assert wait_until(lambda: failures in _of_the_agent(traced)), _of_the_agent(traced).keys()
    told = _by(_of_the_agent(traced)[failures], "capability", "kind", "reason")
    assert told["bpf_statistics", refused["rung"], "EPERM"] == 1
    scraped = text_string_to_metric_families(probe.ask("/metrics")[1])
    reasons = {
        one.labels["capability"]: one.labels["reason"]
        for family in scraped
        for one in family.samples
        if family.name == "ebpf_probe_attach_failures"
    }
    assert reasons["bpf_statistics"] == "EPERM"


def test_without_statistics_no_program_is_timed(start_agent: StartAgent, probe: Probe) -> None:
    traced = start_agent(RUNG, config=probe.telemetry())
    assert wait_until(lambda: "ebpf_probe_attached" in probe.ask("/metrics")[1])
    assert "ebpf_program_run" not in probe.ask("/metrics")[1]
    assert "bpf_statistics" not in traced.agent.doctor()


def test_hostile_clients(start_agent: StartAgent, probe: Probe) -> None:
    """200 connections at once that say nothing or too much: others are answered, and the exit is in time."""
    with threaded() as server, ExitStack() as stack:
        config = {**probe.telemetry(), "discovery": {"include": [{"ports": [server.port]}]}}
        traced = start_agent(RUNG, config=config)
        descriptors = len(os.listdir(f"/proc/{traced.agent.pid}/fd"))
        heads = [b"", b"GET /healthz HTTP/1.1\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 4000]

        def flood() -> None:
            for number in range(200):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", probe.port), 30))
                try:
                    client.sendall(heads[number % len(heads)])
                except OSError:
                    continue

        flood()
        for _ in range(10):
            assert probe.ask("/healthz") == (200, "alive\n")
        drive(server.port, ["/json"] * 5)
        traced.backend.expect(5, port=server.port, kind=SERVER)
        assert wait_until(lambda: len(os.listdir(f"/proc/{traced.agent.pid}/fd")) <= descriptors + 2)
        flood()
        assert traced.agent.stop() < slack(2)


def test_the_listener_is_no_service(start_agent: StartAgent, probe: Probe) -> None:
    """Who asks it is observed as a client, as of any other server; the agent is not."""
    ports = {"discovery": {"include": [{"ports": [probe.port]}]}}
    traced = start_agent(RUNG, config={**probe.telemetry(), **ports})
    for _ in range(5):
        assert probe.ask("/healthz")[0] == 200
    traced.backend.expect(5, port=probe.port, kind=CLIENT)
    assert not traced.backend.spans(probe.port, SERVER)


@contextmanager
def library(path: Path) -> Iterator[None]:
    """Have a program that maps a TLS library of that name."""
    path.parent.mkdir()
    shutil.copy(next(one for one in libraries() if one.name.startswith("libssl.")), path)
    script = (
        "import mmap, sys, time; file = open(sys.argv[1], 'rb'); "
        "kept = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE); "
        "print('mapped', flush=True); time.sleep(300)"
    )
    command = [*DIES_WITH_US, sys.executable, "-c", script, os.fsencode(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout
        assert program.stdout.readline() == b"mapped\n"
        try:
            yield
        finally:
            program.kill()


def test_the_log_as_json(start_agent: StartAgent, tmp_path: Path) -> None:
    """Every line is an object, whatever the files are called that it speaks of."""
    odd = tmp_path / 'lib\n{"level": "error", "message": "forged"}\x1b[2J\udcff.so' / "libssl.so.3"
    with library(odd):
        log = {"telemetry": {"log": {"format": "json"}}}
        traced = start_agent(RUNG, config=log, environment={"OTEL_LOG_LEVEL": "info"})
        assert wait_until(lambda: "forged" in traced.agent.log), traced.agent.log
    traced.agent.stop()
    lines = [json.loads(line) for line in traced.agent.log.splitlines()]
    assert all(set(line) >= {"timestamp", "level", "logger", "message"} for line in lines)
    assert all(datetime.fromisoformat(line["timestamp"]).tzinfo for line in lines)
    assert traced.agent.log.isascii()
    assert "\x1b" not in traced.agent.log
    assert not [line for line in lines if line["message"] == "forged"]
    (ready,) = [line for line in lines if line["message"].startswith("ready")]
    assert ready["rungs"]["tcp_payload"] == RUNG


def test_the_log_as_text(start_agent: StartAgent, tmp_path: Path) -> None:
    """A name cannot begin a line of its own, nor speak to a terminal."""
    with library(tmp_path / "lib\n2026-01-01T00:00:00.000Z ERROR forged\x1b[2J\udcff" / "libssl.so.3"):
        traced = start_agent(RUNG, environment={"OTEL_LOG_LEVEL": "info"})
        assert wait_until(lambda: "forged" in traced.agent.log), traced.agent.log
    for line in traced.agent.log.splitlines():
        assert datetime.fromisoformat(line.split(" ")[0]).tzinfo, line
        assert line.split(" ")[1] in {"INFO", "WARNING"}
        assert line.isprintable()
