"""The records of the ring buffer as Python values. Mirrors bpf/include/wire.h.

Hot path. Budget: decoding one exchange, its heads copied out, at most 1.3 us.

Times are CLOCK_BOOTTIME nanoseconds, 0 for "did not happen". `NamedTuple`s are filled in
wire order straight from one `struct.unpack_from`, so the order of the fields is the ABI; behind
those stand the bytes that follow the struct, the vantage, which is looked up, and the likeness.
tests/kernel/test_wire_layout.py checks names, offsets and sizes against the objects' BTF.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.kernel.wire import (
    WIRE_VERSION,
    Capture,
    ContextSource,
    Direction,
    End,
    Kind,
    LookupCall,
    Role,
    Transport,
)

__all__ = [
    "CLOSE",
    "DATAGRAM",
    "EXCHANGE",
    "HEADER",
    "LOOKUP",
    "PIECE",
    "PROCESS",
    "WIRE_VERSION",
    "Capture",
    "Close",
    "ContextSource",
    "Datagram",
    "Direction",
    "End",
    "Exchange",
    "Kind",
    "Lookup",
    "LookupCall",
    "Piece",
    "ProcessSeen",
    "Record",
    "Role",
    "Transport",
]


class Exchange(NamedTuple):
    """One request and its response (struct exchange_record). Also for `Kind.AMEND` and `Kind.HANDSHAKE`."""

    client_port: int
    lost: int
    tls: bytes  # struct tls_facts
    flags: int
    kind: int
    end: int
    error: int
    connection: int
    offset: int
    time: int
    socket: int
    client_address: bytes
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
    waited: int  # microseconds; 0: less than two of the kernel's ticks, or not known
    rtt: int  # microseconds; 0: not known
    rtt_min: int  # the same
    retransmits: int
    connect_start: int  # with `Capture.CONNECTED`; of a server, when the request had come
    connect_end: int  # or was accepted
    request_head: int
    response_head: int
    request_captured: int
    response_captured: int
    path_captured: int
    status: int
    request: bytes
    response: bytes
    path: bytes
    vantage: Vantage
    likeness: int  # see `kernel.likeness`; 0 for none


class Piece(NamedTuple):
    """One send or receive of a connection in stream mode (struct piece_record)."""

    client_port: int
    lost: int
    tls: bytes  # struct tls_facts
    flags: int
    kind: int
    end: int
    error: int
    connection: int
    offset: int
    time: int
    socket: int
    client_address: bytes
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
    vantage: Vantage


class Close(NamedTuple):
    """A connection that user space follows has ended (struct close_record)."""

    client_port: int
    lost: int
    tls: bytes  # struct tls_facts
    flags: int
    kind: int
    end: int
    error: int
    connection: int
    offset: int
    time: int
    socket: int
    client_address: bytes
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    trace_flags: int
    context_source: int
    request_bytes: int
    response_bytes: int
    vantage: Vantage


class ProcessSeen(NamedTuple):
    """A process did its first I/O on a socket (struct process_record); of its exit and exec the ids alone."""

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
    unified: tuple[bytes, ...] = ()  # names of its control group in version 2, and of those that one is in
    controlled: tuple[bytes, ...] = ()  # the same in version 1


class Lookup(NamedTuple):
    """A name, or an address's, was looked up by the C library (struct lookup_record)."""

    time: int
    end: int
    result: int  # 0, else what the function of `call` says
    call: int
    name: bytes  # what was asked for; empty if that is an address
    addresses: tuple[tuple[int, bytes], ...]  # (family, 16 bytes): the answers, or what was asked for
    seconds: int  # for which the answers hold, 0 where that is not told
    retries: int  # questions that were asked again; 0 where they are not seen
    truncations: int  # answers that did not fit; the same
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    trace_flags: int
    context_source: int
    vantage: Vantage


class Datagram(NamedTuple):
    """A send to a name server, or a receive (struct datagram_record); by TCP, a piece of the stream."""

    time: int
    socket: int
    direction: int
    length: int
    data: bytes  # the first of them
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    trace_flags: int
    context_source: int
    vantage: Vantage


Record = Exchange | Piece | Close | ProcessSeen | Lookup | Datagram

# version, the vantage, thread and ruleset are passed over: nothing here reads them from it.
_HEADER = "2xHI8sIBBB49xQQQQ4x4x16s16s8s8sBB6x"
HEADER = Struct("<" + _HEADER)
EXCHANGE = Struct("<" + _HEADER + "QQQQQIIIIQQIIHHHH")
PIECE = Struct("<" + _HEADER + "IHBxH6x")
CLOSE = Struct("<" + _HEADER + "QQ")
PROCESS = Struct("<" + _HEADER + "IIHH4x16s64s288s288s")
LOOKUP = Struct("<" + _HEADER + "QiBB2x8s128s256s")
DATAGRAM = Struct("<" + _HEADER + "IHBx512s")
assert HEADER.size == 168
