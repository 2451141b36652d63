"""What the observed processes take of the host, as metrics of their services."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from integration.conftest import Traced
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.ports import free_port
from integration.harness.puppet import OBSERVED, Puppet
from integration.harness.rungs import RUNGS
from integration.harness.servers import threaded
from integration.harness.tcp_counts import Told
from tests.otlp_receiver import ReceivedMetric

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]
NAMES = (
    "process.cpu.time",
    "process.memory.usage",
    "process.thread.count",
    "process.unix.file_descriptor.count",
)
UNITS = ("s", "By", "{thread}", "{file_descriptor}")


def _of_services(traced: Traced, name: str) -> list[ReceivedMetric]:
    """Return what came but for the agent's own."""
    every = traced.backend.receiver.metrics(name)
    return [one for one in every if one.resource.get("service.name") != "otel-ebpf"]


def _last(traced: Traced, name: str, pid: int) -> ReceivedMetric | None:
    found = [one for one in _of_services(traced, name) if one.resource.get("process.pid") == pid]
    return found[-1] if found else None


def test_what_a_process_takes(start_agent: StartAgent) -> None:
    """By what psutil says of the same process; CPU time from when it was observed."""
    with threaded() as server:
        pid = server.program.pid
        itself = psutil.Process(pid)
        older = sum(itself.cpu_times()[:2])
        config = {"discovery": {"include": [{"pids": [pid]}]}, "metrics": {"processes": True}}
        traced = start_agent(RUNG, config=config)
        drive(server.port, ["/json"] * 50)
        assert wait_until(lambda: _last(traced, NAMES[3], pid))
        last = [_last(traced, name, pid) for name in NAMES]
        assert [one.unit for one in last if one] == list(UNITS)
        time, memory, threads, descriptors = (one.points if one else [] for one in last)
        assert {point.attributes["cpu.mode"] for point in time} == {"user", "system"}
        assert sum(point.value for point in time) <= sum(itself.cpu_times()[:2]) - older + 0.02
        assert 0.5 < memory[0].value / itself.memory_info().rss < 2
        assert 1 <= threads[0].value <= 60
        assert 3 <= descriptors[0].value <= itself.num_fds() + 60

        def works() -> bool:
            drive(server.port, ["/json"] * 50)
            now = _last(traced, NAMES[0], pid)
            return now is not None and sum(point.value for point in now.points) > 0.05

        assert wait_until(works), "CPU time is counted on"
        every = {one.resource.get("process.pid") for one in _of_services(traced, NAMES[1])}
        assert every == {pid}, "of those that are not observed, nothing"


def test_what_processes_move(start_agent: StartAgent) -> None:
    """Over connections of several peers, those that have ended among them: every byte, by direction."""
    traced = start_agent(RUNG, config={**OBSERVED, "metrics": {"processes": True}})
    with Puppet() as visitor, Puppet() as server:
        for number, question, answer, ends in ((3, 70_000, 3_000, False), (2, 11, 5, True)):
            port = server.do("listen", "127.0.0.1", free_port(), 16)
            asked = visitor.do("connect", "127.0.0.1", port, number)
            served = server.do("accept", number)
            visitor.do("send", asked, question)
            server.do("receive", served, question)
            server.do("send", served, answer)
            visitor.do("receive", asked, answer)
            if ends:
                visitor.do("close", asked)
                server.do("end", served)
                server.do("close", served)
        asked_in_all, answered_in_all = 3 * 70_000 + 2 * 11, 3 * 3_000 + 2 * 5
        for one, sent, received in (
            (visitor, asked_in_all, answered_in_all),
            (server, answered_in_all, asked_in_all),
        ):
            told = Told(traced.backend, one.service, "process.network.")
            told.expect(sent, "io", network__io__direction="transmit")
            told.expect(received, "io", network__io__direction="receive")
            assert len(told.series("io")) == 2
            (unit,) = {metric.unit for metric in traced.backend.receiver.metrics("process.network.io")}
            assert unit == "By"


def test_they_are_off_unless_they_are_wanted(start_agent: StartAgent) -> None:
    with threaded() as server:
        traced = start_agent(RUNG)
        drive(server.port, ["/json"])
        assert wait_until(lambda: traced.backend.receiver.metrics("http.server.request.duration"))
        assert not [one for name in (*NAMES, "process.network.io") for one in _of_services(traced, name)]
