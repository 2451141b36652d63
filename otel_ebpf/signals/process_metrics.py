"""What the observed processes take of the host: `process.*` metrics, as the conventions name them."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.semconv._incubating.attributes.cpu_attributes import CpuModeValues

from otel_ebpf.identity.model import Service
from otel_ebpf.signals import names
from otel_ebpf.signals.instruments import Instruments, Kind

__all__ = ["ProcessMetrics", "Taken"]

_USER = ((names.CPU_MODE, CpuModeValues.USER.value),)
_SYSTEM = ((names.CPU_MODE, CpuModeValues.SYSTEM.value),)


class Taken(NamedTuple):
    """What a process takes: seconds since its start, bytes that are resident, threads, open descriptors.

    -1 where it may not be read.
    """

    user: float
    system: float
    resident: int
    threads: int
    descriptors: int


NOTHING = Taken(0, 0, 0, 0, 0)


class ProcessMetrics:
    """Declares its instruments in `instruments`, and sets them. One thread uses both."""

    def __init__(self, instruments: Instruments) -> None:
        self._time = instruments.number(names.PROCESS_CPU_TIME, "s", "CPU time, by mode.", Kind.COUNTER)
        self._levels = [
            instruments.number(name, unit, description, Kind.UP_DOWN_COUNTER)
            for name, unit, description in (
                (names.PROCESS_MEMORY_USAGE, "By", "Physical memory in use."),
                (names.PROCESS_THREAD_COUNT, "{thread}", "Threads."),
                (names.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, "{file_descriptor}", "Open file descriptors."),
            )
        ]

    def set(self, service: Service, taken: Taken, before: Taken) -> None:
        """Set what the process of a service takes; `before` is what it had taken before it was observed."""
        self._time.series(service, _USER).set(taken.user - before.user)
        self._time.series(service, _SYSTEM).set(taken.system - before.system)
        self._set_levels(service, taken)

    def ended(self, service: Service) -> None:
        """The process has ended: it takes nothing more. Its CPU time stays what it was."""
        self._set_levels(service, NOTHING)

    def _set_levels(self, service: Service, taken: Taken) -> None:
        values = (taken.resident, taken.threads, taken.descriptors)
        for instrument, value in zip(self._levels, values, strict=True):
            if value >= 0:
                instrument.series(service, ()).set(value)
