"""What the kernel side has added up of TCP's health, by process and peer, and of UDP: bpf/core/tcp_peer.h.

There are two maps. Hooks fill one; taking what it has begins by pointing them to the other, which returns
once no hook uses the first any more: nothing is read in the middle, and nothing is lost.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator, Mapping
from enum import IntEnum
from operator import add
from struct import Struct
from typing import Final, NamedTuple

from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libbpf import libbpf

__all__ = ["BUCKETS", "OVERFLOW_ROOM", "PEER", "PEER_KEY", "Measured", "TcpKind", "TcpPeer", "TcpPeers"]

BUCKETS: Final = 16
PEER_KEY = Struct("<QIHBB16s")  # struct tcp_peer_key
PEER = Struct(f"<3Q{BUCKETS}I3Q{BUCKETS}I3Q4I")  # struct tcp_peer

OVERFLOW_ROOM: Final = 512
"""Entries beside those of peers: one for each process and kind of which some peers had no room."""

_BATCH: Final = 256
_HISTOGRAM: Final = 3 + BUCKETS
_NONE: Final = bytes(PEER.size)
_OVERFLOW: Final = 0x80  # TCP_OVERFLOW
_COMPLEMENT: Final = 0xFFFFFFFFFFFFFFFF


class TcpKind(IntEnum):
    """enum tcp_kind, without its flag."""

    CONNECTED = 1
    ACCEPTED = 2
    CONNECT = 3
    LISTENING = 4
    UDP = 5


class Measured(NamedTuple):
    """A histogram's part. Times are nanoseconds; `least` and `most` mean nothing where `counts` are zero."""

    counts: tuple[int, ...]
    total: int
    least: int
    most: int


class TcpPeer(NamedTuple):
    """What was counted of a peer since it was taken last."""

    start: int  # of the process, CLOCK_BOOTTIME nanoseconds
    process: int  # tgid in the initial namespace
    port: int  # of the listening side
    kind: TcpKind
    overflow: bool  # all peers of the kind for which there was no room
    error: int  # errno of an attempt to connect that failed, 0 for none
    address: bytes  # 16 bytes, IPv4 as ::ffff:a.b.c.d
    rtt: Measured
    time: Measured  # that connections lasted, or attempts took
    sent: int  # bytes of payload, each once
    received: int
    retransmits: int  # segments
    resets_sent: int
    resets_received: int
    active: int  # connections that the sweep found open
    overflows: int  # connections that a full queue had no room for; of UDP datagrams that were dropped


class TcpPeers:
    """The maps, by the file descriptors in `maps`. One thread uses it."""

    def __init__(self, maps: Mapping[str, int]) -> None:
        self._outer, self._made = maps["tcp_peers"], maps["tcp_peers_made"]
        self._filled, self._other = maps["tcp_peers_even"], maps["tcp_peers_odd"]
        cpus = libbpf().integer("libbpf_num_possible_cpus")
        self._size = PEER.size * cpus
        self._keys = ctypes.create_string_buffer(PEER_KEY.size * _BATCH)
        self._values = ctypes.create_string_buffer(self._size * _BATCH)

    def start(self) -> None:
        """Have the hooks begin to count. Raises `KernelError`."""
        self._point_to(self._filled)

    def take(self) -> list[TcpPeer]:
        """Return what was counted since the last time, and begin anew. Raises `KernelError`."""
        taken = self._filled
        self._set(self._made, 0)
        self._point_to(self._other)
        self._filled, self._other = self._other, taken
        return list(self._empty(taken))

    def _point_to(self, inner: int) -> None:
        self._set(self._outer, inner)

    @staticmethod
    def _set(fd: int, value: int) -> None:
        zero, number = ctypes.c_uint32(0), ctypes.c_uint32(value)
        libbpf().integer("bpf_map_update_elem", fd, ctypes.byref(zero), ctypes.byref(number), 0)

    def _empty(self, fd: int) -> Iterator[TcpPeer]:
        position, after, count = ctypes.c_uint32(), ctypes.c_uint32(), ctypes.c_uint32()
        given = None
        while True:
            count.value, ended = _BATCH, False
            places = (given, ctypes.byref(after), self._keys, self._values, ctypes.byref(count))
            try:
                libbpf().integer("bpf_map_lookup_and_delete_batch", fd, *places, None)
            except KernelError as error:
                if error.code != errno.ENOENT:  # the end, which may come with some
                    raise
                ended = True
            yield from self._read(count.value)
            if ended:
                return
            position.value = after.value
            given = ctypes.byref(position)

    def _read(self, count: int) -> Iterator[TcpPeer]:
        keys, values = memoryview(self._keys).cast("B"), memoryview(self._values).cast("B")
        for index in range(count):
            key = PEER_KEY.unpack_from(keys, index * PEER_KEY.size)
            yield read_peer(key, values[index * self._size : (index + 1) * self._size])


def read_peer(key: tuple[int, int, int, int, int, bytes], values: memoryview) -> TcpPeer:
    """Add up what the processors have of one key; most of them have nothing."""
    start, process, port, kind, error, address = key
    found = [
        PEER.unpack_from(values, offset)
        for offset in range(0, len(values), PEER.size)
        if values[offset : offset + PEER.size] != _NONE
    ] or [PEER.unpack(_NONE)]
    sums = found[0]
    for one in found[1:]:
        sums = tuple(map(add, sums, one))
    rtt, time = (
        Measured(
            tuple(sums[at + 3 : at + _HISTOGRAM]),
            sums[at],
            _COMPLEMENT - max(one[at + 2] for one in found),
            max(one[at + 1] for one in found),
        )
        for at in (0, _HISTOGRAM)
    )
    plain, overflow = TcpKind(kind & ~_OVERFLOW), bool(kind & _OVERFLOW)
    return TcpPeer(start, process, port, plain, overflow, error, address, rtt, time, *sums[2 * _HISTOGRAM :])
