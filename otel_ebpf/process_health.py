"""What the observed processes take of the host, on its way: from /proc into metrics.

Reading takes about 0.15 ms a process. That happens on a thread of its own, just before each collection;
setting the metrics by what it has found is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import psutil

from otel_ebpf.identity.process import open_process
from otel_ebpf.identity.services import Observed, Services
from otel_ebpf.signals.process_metrics import NOTHING, ProcessMetrics, Taken

__all__ = ["ProcessHealth", "read_taken"]

LEAD_SECONDS: Final = 0.25
"""How long before a collection the reading begins; what is not there then is collected the next time."""

Found = list[tuple[Observed, Taken | None]]


class ProcessHealth:
    """One thread uses it. Its methods never raise. `clock` is CLOCK_BOOTTIME in nanoseconds."""

    def __init__(
        self,
        services: Services,
        metrics: ProcessMetrics,
        clock: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._services = services
        self._metrics = metrics
        self._began = clock()
        self._before: dict[tuple[int, int], Taken] = {}
        self._beside = ThreadPoolExecutor(1, "processes")
        self._reading: Future[Found] | None = None

    def tick(self, due: float) -> None:
        """Begin to read when it is time: `due` seconds before the next collection."""
        if self._reading is None and due <= LEAD_SECONDS:
            self._reading = self._beside.submit(_read, self._services.observed())

    def collect(self) -> None:
        """Set what was found by now. Does not wait."""
        if self._reading is None or not self._reading.done():
            return
        found, self._reading = self._reading.result(), None
        before: dict[tuple[int, int], Taken] = {}
        for process, taken in found:
            if self._services.known(*process.key) is not process.service:
                continue  # it is another program by now, or more is known of it
            if taken is None:
                if process.key in self._before:  # else there is nothing to take back
                    self._metrics.ended(process.service)
                continue
            older = process.key[1] < self._began
            first = before[process.key] = self._before.get(process.key, taken if older else NOTHING)
            self._metrics.set(process.service, taken, first)
        self._before = before

    def stop(self) -> None:
        """Read no more."""
        self._beside.shutdown(wait=False, cancel_futures=True)


def _read(processes: Sequence[Observed]) -> Found:
    return [(process, read_taken(process.visible_pid, process.key[1])) for process in processes]


def read_taken(pid: int, start: int) -> Taken | None:
    """Return what a process takes, None where it has ended, or cannot be read now.

    `pid` is as the agent's /proc shows it.
    """
    directory = open_process(pid, start)
    if directory is None:
        return None
    with directory as proc:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times, memory, threads = process.cpu_times(), process.memory_info(), process.num_threads()
        except (psutil.Error, OSError):
            return None
        try:
            descriptors = process.num_fds()
        except (psutil.Error, OSError):
            descriptors = -1
        ticks, _ = proc.stat()  # the directory stays with the process: it had the id all along
        return Taken(times.user, times.system, memory.rss, threads, descriptors) if ticks >= 0 else None
