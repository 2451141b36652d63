"""What the agent asks of the attacher, and what it answers: plain values only.

Loading, attaching and running programs need capabilities; reading and parsing need none. Both
sides may be one process; nothing but these messages (and file descriptors) passes between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attach:
    """Load and attach everything. `rung` demands one for the payload; None takes the best.

    Without `tls` no file can be attached to.
    """

    rung: str | None = None
    request_bytes: int = 1024
    response_bytes: int = 256
    piece_bytes: int = 4096
    ring_bytes: int = 4 << 20
    connections: int = 16384
    processes: int = 8192
    id_secret: tuple[int, int] = (0, 0)
    tls: bool = True
    tls_left_out: bool = False  # whether a decision may leave out a process's TLS


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rung that was tried and could not be had."""

    rung: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a capability stands: `rung` is "" where none could be had."""

    capability: str
    rung: str
    cost: str
    refusals: tuple[Refusal, ...]
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Attached:
    """What stands, and as file descriptors of the agent: the maps by name, and what is attached."""

    standings: tuple[Standing, ...]
    maps: Mapping[str, int]
    programs: tuple[int, ...] = ()
    links: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SetMode:
    """Change a connection's mode (enum connection_mode); one that has ended meanwhile is left alone."""

    socket: int
    connection: int
    mode: int


@dataclass(frozen=True, slots=True)
class Walk:
    """Visit all connections: end what silence has ended; `count_active` fills the map of active requests.

    With `only_due` nothing is visited, and what is answered is the last walk's, while no connection is in
    a state that silence ends (on kernels that can tell).
    """

    silence_ns: int
    forget_ns: int
    count_active: bool = False
    only_due: bool = False


@dataclass(frozen=True, slots=True)
class Walked:
    """What the walk counted."""

    in_flight: int
    connections: int


@dataclass(frozen=True, slots=True)
class Point:
    """One probe in a file: a program of tls_library.bpf.c, and the offset in the file at which it runs."""

    program: str
    offset: int
    at_return: bool = False


@dataclass(frozen=True, slots=True)
class AttachFile:
    """Attach the TLS probes of a file: `points` as `libraries.places` found them. May take milliseconds."""

    path: str
    points: tuple[Point, ...]
    pid: int = 0  # of the one process that they are for


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """What `DetachFile` takes."""

    token: int


@dataclass(frozen=True, slots=True)
class DetachFile:
    """Undo an `AttachFile`."""

    token: int


@dataclass(frozen=True, slots=True)
class Detach:
    """Detach and unload everything."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to say."""


Request = Attach | SetMode | Walk | AttachFile | DetachFile | Detach
Reply = Attached | Walked | AttachedFile | Done
