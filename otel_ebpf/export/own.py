"""What the agent counts of its own, as plain values: between the stages that count and `self_telemetry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from otel_ebpf.kernel.messages import ProbeCounts
from otel_ebpf.kernel.program_runs import Runs

__all__ = ["Level", "Own"]

_NOTHING: Final[Mapping[str, int]] = MappingProxyType({})


class Level(NamedTuple):
    """How many items wait in a queue, and how many may."""

    size: int
    capacity: int


class Own(NamedTuple):
    """At one time. `totals` is indexed by `kernel.ledger.Entry`; the others may be empty."""

    totals: Sequence[int]
    bindings: Mapping[tuple[str, str], int] = MappingProxyType({})  # TLS sessions by method and outcome
    injected: Mapping[str, int] = _NOTHING  # requests that a context was to be written into, by outcome
    queues: Mapping[str, Level] = MappingProxyType({})  # by what waits in them
    probes: ProbeCounts = ProbeCounts()
    runs: Mapping[str, Runs] = MappingProxyType({})  # of BPF programs, by their names
