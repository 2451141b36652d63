"""What the agent asks of the attacher, and what it answers: plain values only.

Loading, attaching and running programs need capabilities; reading and parsing need none. Both
sides may be one process; nothing but these messages (and file descriptors) passes between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Inject:
    """Into whose requests `traceparent` is written; rules are bits by their place in the configuration.

    `any_port` are the rules that name no ports, `ports` those that name each port. What the server is told
    is whether the request is sampled: by the flag of whoever has decided already, where `by_parent`, else
    if the trace id's lower half is below `sampled_below` (0 to 1 << 64).
    """

    any_port: int
    ports: Mapping[int, int]
    by_parent: bool
    sampled_below: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Load and attach everything. `rung` demands one for the payload; None takes the best.

    Without `tls`, `runtimes` and `dns` no file can be attached to.
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
    runtimes: bool = True
    dns: bool = True
    dns_packets: bool = True
    tls_left_out: bool = False  # whether a decision may leave out a process's TLS
    started_threads: bool = False  # whether threads that a serving thread starts may serve its request
    network_part: bool = True  # whether exchanges tell of the network's part in them
    network_tcp: bool = True
    network_udp: bool = True
    tcp_connections: int = 65536
    tcp_peers: int = 2048
    inject: Inject | None = None
    statistics: bool = False  # whether the kernel is to time the programs


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rung that was tried and could not be had. `code` is the errno, 0 where there is none."""

    rung: str
    reason: str
    code: int = 0


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
    loaded: tuple[tuple[str, int], ...] = ()  # all programs, by name: also those that are only called


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
class Sweep:
    """Visit all TCP sockets that processes have, where the kernel lets them be listed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One probe in a file: a program, and the offset in the file at which it runs.

    The program can read the cookie, on kernels that have that (5.15).
    """

    program: str
    offset: int
    at_return: bool = False
    cookie: int = 0

    def with_cookie(self, cookie: int) -> Point:
        """Return the same with another cookie."""
        return Point(self.program, self.offset, self.at_return, cookie)


@dataclass(frozen=True, slots=True)
class AttachFile:
    """Attach the probes of a file: `points` as `contents.look_into` found them. May take milliseconds."""

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
class TimeHit:
    """Measure, with a loaded program, what a hit of a probe costs a process here. Takes milliseconds."""

    program: str


@dataclass(frozen=True, slots=True)
class HitTimed:
    """How much longer a call takes, in nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class CountProbes:
    """Say how many probes there are now, and which could not be."""


@dataclass(frozen=True, slots=True)
class ProbeCounts:
    """Probes that are attached, by capability and kind (the rung); failures also by the errno's name."""

    attached: Mapping[tuple[str, str], int] = field(default_factory=dict)
    failures: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Detach:
    """Detach and unload everything."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to say."""


Request = Attach | SetMode | Walk | Sweep | AttachFile | DetachFile | TimeHit | CountProbes | Detach
Reply = Attached | Walked | AttachedFile | HitTimed | ProbeCounts | Done
