"""Reasons of the ledger that a whole agent is too much, or too quick, to provoke."""

from __future__ import annotations

import os
import subprocess

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ladder import LADDERS, Rung
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.messages import Attach, Attached, Detach
from otel_ebpf.kernel.reader import Reader
from otel_ebpf.kernel.ring_buffer import RingBuffer
from otel_ebpf.kernel.tables import Tables
from tests.kernel.build import native, with_object

SMALL = {"ring_bytes": 65536, "connections": 64, "processes": 64}
RUNGS = os.environ.get("OTEL_EBPF_TEST_RUNGS", "socket_trace,syscall").split(",")
ATTEMPTS, SENDS = 300, 10_000


@pytest.mark.parametrize("rung", RUNGS)
def test_two_processors_on_one_connection(tmp_path, rung):
    """event_contended: one waits for the other longer than the bound; bounded by count, not by time."""
    program = native(tmp_path, "contend")
    attacher = Attacher()
    try:
        attached = attacher.handle(Attach(rung=rung, **SMALL, piece_bytes=8192))
        assert isinstance(attached, Attached)
        tables = Tables(attached.maps)
        for _ in range(ATTEMPTS):
            subprocess.run([program, str(SENDS)], check=True)
            if tables.ledger_totals()[Entry.EVENT_CONTENDED]:
                break
        assert tables.ledger_totals()[Entry.EVENT_CONTENDED] > 0
    finally:
        attacher.handle(Detach())


def test_garbage_in_the_ring_buffer(tmp_path):
    """reader_malformed: counted, and what stands before and behind it is read."""
    stranger = (Rung("test_run", "malformed", ("write_garbage",), "", (), ("",)),)
    attacher = Attacher({**LADDERS, "stranger": stranger}, with_object(tmp_path, "malformed"))
    try:
        attached = attacher.handle(Attach(**SMALL))
        assert isinstance(attached, Attached)
        ledger = Ledger()
        ring = RingBuffer(attached.maps["records"], SMALL["ring_bytes"])
        reader = Reader(ring, ledger.shard())
        attacher._control = attacher._objects[-1]  # the stranger: its programs are run
        program = native(tmp_path, "contend")
        for _ in range(3):
            subprocess.run([program, "2"], check=True)
            attacher._run("write_garbage", ())
        records = reader.read()
        ring.close()
    finally:
        attacher.handle(Detach())
    assert ledger.totals()[Entry.READER_MALFORMED] == 3
    read = (Entry.READER_EXCHANGE, Entry.READER_PIECE, Entry.READER_NOTICE)
    assert len(records) == sum(ledger.totals()[entry] for entry in read) > 3
