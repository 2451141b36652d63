"""A socket's end may be missed, as the kernel runs no hook amid itself: its address is another's then."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ladder import LADDERS, TCP_RESET, TCP_STATE
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.likeness import Likenesses
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Walk, Walked
from otel_ebpf.kernel.reader import Reader
from otel_ebpf.kernel.records import Exchange, Role
from otel_ebpf.kernel.ring_buffer import RingBuffer
from otel_ebpf.kernel.tables import Tables

PROGRAM = Path(__file__).parent / "programs" / "many_connections.py"
RING_BYTES = 1 << 22
COUNT = 200


@pytest.mark.guest
def test_an_address_that_is_used_again() -> None:
    """Without the hooks that see ends, each connection is still itself, and what is left of it goes."""
    blind = {name: rungs for name, rungs in LADDERS.items() if name not in (TCP_STATE, TCP_RESET)}
    attacher = Attacher(blind)
    try:
        attached = attacher.handle(Attach(ring_bytes=RING_BYTES, network_tcp=False))
        assert isinstance(attached, Attached)
        ring = RingBuffer(attached.maps["records"], RING_BYTES)
        reader = Reader(ring, Ledger().shard(), Likenesses())
        words = [sys.executable, PROGRAM, str(COUNT)]
        port = int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        records = [record for record in reader.read(RING_BYTES)[0] if isinstance(record, Exchange)]
        gaps = Tables(attached.maps).ledger_totals()[Entry.EVENT_GAP]
        left = attacher.handle(Walk(0, 0))
        gone = attacher.handle(Walk(0, 0))
        ring.close()
    finally:
        attacher.handle(Detach())
    ours = [record for record in records if record.vantage.server_port == port]
    ends = {
        (role, number): record for record in ours for role, number in [(record.vantage.role, record.request)]
    }
    assert Counter(role for role, _ in ends) == {Role.CLIENT: COUNT, Role.SERVER: COUNT}
    assert len({record.connection for record in ours}) == COUNT
    assert all(
        ends[Role.SERVER, request].client_port == record.client_port
        for (role, request), record in ends.items()
        if role == Role.CLIENT
    )
    assert not gaps
    assert isinstance(left, Walked)
    assert isinstance(gone, Walked)
    assert 0 < left.connections < COUNT, "addresses were used again"
    assert gone.connections < left.connections
