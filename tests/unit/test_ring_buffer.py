"""Records that wrap around, and what is not to be read yet, in the layout of kernel/bpf/ringbuf.c."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_ebpf.kernel import ring_buffer
from otel_ebpf.kernel.ring_buffer import RingBuffer

SIZE: Final = 4096
HEADER, BUSY, DISCARDED = 8, 1 << 31, 1 << 30


class Producer:
    """The kernel's part, in a file's pages: the consumer's position, the producer's, the data."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * mmap.PAGESIZE + SIZE)
        self._map = mmap.mmap(self.fd, 2 * mmap.PAGESIZE + SIZE)

    def reserve(self, payload: bytes, flags: int = 0) -> int:
        """Write a record, unless there is no room; return where it begins, -1 for nowhere."""
        consumed, at = self._position(0), self._position(mmap.PAGESIZE)
        room = (len(payload) + HEADER + 7) & ~7
        if at + room - consumed > SIZE:
            return -1
        record = (len(payload) | flags).to_bytes(4, "little") + bytes(4) + payload
        for number, byte in enumerate(record):
            self._map[2 * mmap.PAGESIZE + (at + number) % SIZE] = byte
        self._map[mmap.PAGESIZE : mmap.PAGESIZE + 8] = (at + room).to_bytes(8, "little")
        return at

    def commit(self, at: int, length: int) -> None:
        place = 2 * mmap.PAGESIZE + at % SIZE
        self._map[place : place + 4] = length.to_bytes(4, "little")

    def _position(self, page: int) -> int:
        return int.from_bytes(self._map[page : page + 8], "little")

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)


@pytest.fixture(autouse=True)
def _unpolled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files cannot be polled."""
    nobody = SimpleNamespace(register=lambda *_: None, close=lambda: None)
    monkeypatch.setattr(ring_buffer.select, "epoll", lambda: nobody)


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer()
    yield made
    made.close()


def taken(ring: RingBuffer, limit: int = 1 << 20) -> list[bytes]:
    chunk, spans = ring.read(limit)
    return [chunk[at:end] for at, end in spans]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1500), st.booleans(), st.integers(16, 5000)), max_size=60))
def test_every_record_once_and_in_order(steps: list[tuple[int, bool, int]]) -> None:
    producer = Producer()
    ring = RingBuffer(producer.fd, SIZE)
    written: list[bytes] = []
    read: list[bytes] = []
    for number, (length, discarded, limit) in enumerate(steps):
        payload = bytes([number % 251]) * length
        while producer.reserve(payload, DISCARDED if discarded else 0) < 0:
            assert ring.pending()
            read += taken(ring, limit)
        if not discarded:
            written.append(payload)
    while ring.pending():
        read += taken(ring)
    assert read == written
    ring.close()
    producer.close()


def test_a_record_that_is_still_written_holds_up_those_behind_it(producer: Producer) -> None:
    ring = RingBuffer(producer.fd, SIZE)
    producer.reserve(b"first")
    at = producer.reserve(b"second", BUSY)
    producer.reserve(b"third")
    assert taken(ring) == [b"first"]
    assert taken(ring) == []
    producer.commit(at, len(b"second"))
    assert taken(ring) == [b"second", b"third"]
    assert ring.pending() == 0
    ring.close()
