"""What was told of TCP's health and of UDP, and what the kernel itself counts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from integration.harness.backend import Backend
from integration.harness.limits import wait_until
from tests.otlp_receiver import Point

Series = dict[tuple[tuple[str, Any], ...], Point]


@dataclass(frozen=True)
class Told:
    """The newest points of one service's metrics, which are cumulative."""

    backend: Backend
    service: str
    prefix: str = "ebpf.tcp."

    def series(self, name: str) -> Series:
        """Return the newest point of each series of a metric, whose name begins with the prefix."""
        newest: Series = {}
        for metric in self.backend.receiver.metrics(self.prefix + name):
            if metric.resource.get("service.name") == self.service:
                for point in metric.points:
                    newest[tuple(sorted(point.attributes.items()))] = point
        return newest

    def total(self, name: str, **wanted: object) -> float:
        """Sum a metric's values, or a histogram's counts, over the series with these attributes.

        A dot in an attribute's name is written as `__`.
        """
        needed = {(key.replace("__", "."), value) for key, value in wanted.items()}
        found = (point for key, point in self.series(name).items() if needed <= set(key))
        return sum(point.count if point.buckets else point.value for point in found)

    def expect(self, due: float, name: str, **wanted: object) -> None:
        """Wait for a sum, which must not be passed."""
        wait_until(lambda: self.total(name, **wanted) >= due)
        found = self.total(name, **wanted)
        assert found == due, f"{name} {wanted}: {due} are due, {found} were told: {self.series(name)}"

    def expect_open(self, due: float, **wanted: object) -> None:
        """Wait until so many connections are said to be open."""
        name = "connection.active"
        assert wait_until(lambda: self.total(name, **wanted) == due), (due, self.series(name))


def kernel_counter(within: Sequence[str], name: str) -> int:
    """Return a counter of a network namespace, as nstat has it."""
    words = [*within, "nstat", "-asz", name]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    return int(next(line.split()[1] for line in shown.splitlines() if line.startswith(name)))


def socket_counters(within: Sequence[str], port: int, *, local: bool) -> list[dict[str, float]]:
    """Return what `ss -ti` says of the connections of a service port, at one of their ends."""
    side = "sport" if local else "dport"
    words = [*within, "ss", "-tinOH", "state", "connected", side, "=", f":{port}"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    found = []
    for line in shown.splitlines():
        one = {name: float(value) for name, value in re.findall(r"(bytes_\w+):(\d+)", line)}
        one["retrans"] = float((re.search(r" retrans:\d+/(\d+)", line) or [0, 0])[1])
        one["rtt"] = float((re.search(r" rtt:([0-9.]+)/", line) or [0, 0])[1]) / 1000
        one["min_rtt"] = float((re.search(r" minrtt:([0-9.]+)", line) or [0, 0])[1]) / 1000
        found.append(one)
    return found


def socket_drops(within: Sequence[str], port: int) -> int:
    """Return what /proc/net/udp and udp6 say that the sockets of a port have dropped."""
    words = [*within, "cat", "/proc/net/udp", "/proc/net/udp6"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    lines = (line.split() for line in shown.splitlines())
    return sum(int(line[-1]) for line in lines if line[1].endswith(f":{port:04X}"))
