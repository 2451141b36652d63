"""What processes take, from /proc into series."""

from __future__ import annotations

import errno
import os
import subprocess
import time

import psutil
import pytest
from identity_support import notice

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.config_rules import Rule
from otel_ebpf.identity.discovery import Discovery
from otel_ebpf.identity.process import read_process
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.services import Services
from otel_ebpf.process_health import ProcessHealth, read_taken
from otel_ebpf.signals.instruments import Instruments
from otel_ebpf.signals.process_metrics import ProcessMetrics
from tests.waiting import wait_for


def collected(instruments: Instruments) -> dict[str, float]:
    found = instruments.collect(time.time_ns()).instruments
    return {
        descriptor.name.removeprefix("process."): sum(float(point.value) for point in points)  # type: ignore[union-attr]
        for descriptor, points in found
        if points
    }


def observe(child: subprocess.Popen[bytes], services: Services) -> None:
    found = read_process(child.pid)
    assert found is not None
    own = {"process": child.pid, "agent_process": child.pid, "process_start": found.start}
    services.seen(notice(**own, executable=b"sleep", arguments=b""))


def read(health: ProcessHealth) -> None:
    health.tick(0.1)
    wait_for(lambda: health._reading is None or health._reading.done())
    health.collect()


def test_a_process_until_it_has_ended() -> None:
    instruments = Instruments(0)
    services = Services(Resources(host=(), boot_id="b"), Discovery(Rules()))
    health = ProcessHealth(services, ProcessMetrics(instruments))
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        wait_for(lambda: os.readlink(f"/proc/{child.pid}/exe").endswith("sleep"))
        observe(child, services)
        health.tick(1.0)
        assert health._reading is None, "it is not time yet"
        read(health)
        taken = collected(instruments)
        assert taken["thread.count"] == 1
        assert taken["memory.usage"] > 100_000
        assert taken["unix.file_descriptor.count"] >= 3
        child.kill()
    read(health)
    ended = collected(instruments)
    assert ended == {**taken, "thread.count": 0, "memory.usage": 0, "unix.file_descriptor.count": 0}
    health.stop()


def test_a_process_that_cannot_be_read_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: psutil.Process) -> None:
        raise OSError(errno.EMFILE, "no more files")

    found = read_process(os.getpid())
    assert found is not None
    assert read_taken(os.getpid(), found.start)
    monkeypatch.setattr(psutil.Process, "num_threads", fail)
    assert read_taken(os.getpid(), found.start) is None


def test_a_process_that_was_never_read_has_no_series() -> None:
    instruments = Instruments(0)
    services = Services(Resources(host=(), boot_id="b"), Discovery(Rules()))
    health = ProcessHealth(services, ProcessMetrics(instruments))
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        wait_for(lambda: os.readlink(f"/proc/{child.pid}/exe").endswith("sleep"))
        observe(child, services)
        child.kill()
    read(health)
    assert collected(instruments) == {}
    health.stop()


def test_cpu_time_from_before_the_agent_is_not_counted() -> None:
    for began, counted in ((0, True), (1 << 62, False)):
        instruments = Instruments(0)
        services = Services(Resources(host=(), boot_id="b"), Discovery(Rules()))
        burn = "while :; do :; done"
        health = ProcessHealth(services, ProcessMetrics(instruments), clock=lambda began=began: began)  # type: ignore[misc]
        with subprocess.Popen(["/bin/sh", "-c", burn]) as child:
            wait_for(lambda: sum(psutil.Process(child.pid).cpu_times()[:2]) > 0.1)
            observe(child, services)
            read(health)
            assert (collected(instruments)["cpu.time"] > 0.05) == counted
            child.kill()
        health.stop()


def test_excluded_processes_are_not_read() -> None:
    rules = Rules(exclude=(Rule(executable="*sleep"),))
    services = Services(Resources(host=(), boot_id="b"), Discovery(rules))
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        wait_for(lambda: os.readlink(f"/proc/{child.pid}/exe").endswith("sleep"))
        observe(child, services)
        assert services.observed() == []
        child.kill()


def test_another_process_of_the_same_id_is_not_taken_for_it() -> None:
    assert read_taken(os.getpid(), 1) is None
