"""The records of the ring buffer as Python values. Mirrors bpf/include/wire.h.

Hot path. Budget: decoding one exchange, its heads copied out, at most 1.0 us.

Times are CLOCK_BOOTTIME nanoseconds, 0 for "did not happen". `NamedTuple`s are filled in
wire order straight from one `struct.unpack_from`, so the order of the fields is the ABI;
tests/kernel/test_wire_layout.py checks names, offsets and sizes against the objects' BTF.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import NamedTuple

WIRE_VERSION = 1


class Kind(IntEnum):
    """What a record tells of (enum record_kind)."""

    EXCHANGE = 1
    PIECE = 2
    CLOSE = 3
    AMEND = 4
    PROCESS = 5
    PROCESS_EXIT = 6


class Transport(IntEnum):
    """enum transport."""

    TCP = 1
    UNIX = 2


class Role(IntEnum):
    """Which end of the connection was observed (enum role)."""

    UNKNOWN = 0
    CLIENT = 1
    SERVER = 2


class Direction(IntEnum):
    """enum direction: REQUEST is from the connecting to the accepting side."""

    REQUEST = 0
    RESPONSE = 1


class End(IntEnum):
    """Why a record ends where it ends (enum record_end)."""

    NONE = 0
    LENGTH = 1
    CHUNK = 2
    TURN = 3
    FIN = 4
    RESET = 5
    IDLE = 6
    UPGRADE = 7


class Capture(IntFlag):
    """enum capture_flag."""

    TRUNCATED = 1
    TLS = 2
    SERVER_FIRST = 4
    UNSEEN = 8
    OLD = 16
    ROLE_GUESSED = 32
    PEER_CLOSED = 64


class ContextSource(IntEnum):
    """Where a trace context came from (enum context_source)."""

    NONE = 0
    ROOT = 1
    HEADER = 2


class Exchange(NamedTuple):
    """One request and its response (struct exchange_record). Also used for `Kind.AMEND`."""

    version: int
    kind: int
    transport: int
    family: int
    role: int
    end: int
    error: int
    flags: int
    lost: int
    connection: int
    offset: int
    time: int
    socket: int
    process: int
    agent_process: int
    thread: int
    network_namespace: int
    process_start: int
    cgroup: int
    local_port: int
    peer_port: int
    ruleset: int
    local_address: bytes
    peer_address: bytes
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    trace_flags: int
    context_source: int
    request_end: int
    response_start: int
    response_end: int
    request_bytes: int
    response_bytes: int
    request_head: int
    response_head: int
    request_captured: int
    response_captured: int
    path_captured: int
    status: int
    request: bytes
    response: bytes
    path: bytes


class Piece(NamedTuple):
    """One send or receive of a connection in stream mode (struct piece_record)."""

    version: int
    kind: int
    transport: int
    family: int
    role: int
    end: int
    error: int
    flags: int
    lost: int
    connection: int
    offset: int
    time: int
    socket: int
    process: int
    agent_process: int
    thread: int
    network_namespace: int
    process_start: int
    cgroup: int
    local_port: int
    peer_port: int
    ruleset: int
    local_address: bytes
    peer_address: bytes
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    trace_flags: int
    context_source: int
    length: int
    captured: int
    direction: int
    path_captured: int
    data: bytes
    path: bytes


class Close(NamedTuple):
    """A connection that user space follows has ended (struct close_record)."""

    version: int
    kind: int
    transport: int
    family: int
    role: int
    end: int
    error: int
    flags: int
    lost: int
    connection: int
    offset: int
    time: int
    socket: int
    process: int
    agent_process: int
    thread: int
    network_namespace: int
    process_start: int
    cgroup: int
    local_port: int
    peer_port: int
    ruleset: int
    local_address: bytes
    peer_address: bytes
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    trace_flags: int
    context_source: int
    request_bytes: int
    response_bytes: int


class ProcessSeen(NamedTuple):
    """A process did its first I/O on a socket (struct process_record), or exited (Kind.PROCESS_EXIT)."""

    kind: int
    process: int
    agent_process: int
    network_namespace: int
    process_start: int
    cgroup: int
    parent: int
    user: int
    command: bytes
    executable: bytes
    arguments: bytes
    environment: bytes


Record = Exchange | Piece | Close | ProcessSeen

_HEADER = "HBBBBBBIIQQQQIIIIQQHHI16s16s16s8s8sBB6x"
HEADER = Struct("<" + _HEADER)
EXCHANGE = Struct("<" + _HEADER + "QQQQQIIHHHH")
PIECE = Struct("<" + _HEADER + "IHBxH6x")
CLOSE = Struct("<" + _HEADER + "QQ")
PROCESS = Struct("<" + _HEADER + "IIHH4x16s64s")
assert HEADER.size == 160
