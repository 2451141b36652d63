"""What is common to all runtimes."""

from __future__ import annotations

from dataclasses import dataclass

from otel_ebpf.kernel.messages import Point

__all__ = ["Runtime"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime in a file: its probes, and what the kernel side is told of each process that runs it."""

    name: str
    """As in `traces.runtimes`."""
    kind: int
    """enum runtime_kind. 0: part of another, which another file has."""
    points: tuple[Point, ...]
    places: bytes
    """The union of struct runtime_control. Addresses are the file's."""
    own_points: tuple[Point, ...] = ()
    """Probes that processes get one by one, when the code there is mapped twice: otel_ebpf/probing/own.py."""
    own_name: str = ""
    """As in `traces.runtimes`, for those."""
    unless: str = ""
    """Environment variable; processes that have it set, other than to 0, are not followed."""
    code_address: int = 0
    """Address of what would be the file's first byte, were it mapped as a whole, as its code is."""
