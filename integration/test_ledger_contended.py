"""Two processors on one connection: the one reason of the ledger that only chance provokes."""

from __future__ import annotations

import subprocess

from integration.harness.build import PROGRAMS, c_program
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.kernel.messages import Attach, Attached, Detach
from otel_ebpf.kernel.tables import Tables

ATTEMPTS, SENDS = 300, 10_000


def test_two_processors_on_one_connection(rung: str) -> None:
    """event_contended: one waits for the other longer than the bound; bounded by count, not by time.

    Without an agent, which would soon tell the kernel to leave such a connection alone.
    """
    attacher = Attacher()
    try:
        small = Attach(rung=rung, ring_bytes=65536, connections=64, processes=64, piece_bytes=8192)
        attached = attacher.handle(small)
        assert isinstance(attached, Attached)
        tables = Tables(attached.maps)
        for _ in range(ATTEMPTS):
            subprocess.run([c_program(PROGRAMS / "contend.c"), str(SENDS)], check=True)
            if tables.ledger_totals()[Entry.EVENT_CONTENDED]:
                break
        assert tables.ledger_totals()[Entry.EVENT_CONTENDED] > 0
    finally:
        attacher.handle(Detach())
