"""The reader on the real ring buffer: what it cannot read is counted."""

from __future__ import annotations

import socket
import subprocess

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ladder import LADDERS, Rung
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.likeness import Likenesses
from otel_ebpf.kernel.messages import Attach, Attached, Detach
from otel_ebpf.kernel.reader import Reader
from otel_ebpf.kernel.ring_buffer import RingBuffer
from tests.kernel.build import with_object
from tests.waiting import wait_for

SIZES = {"ring_bytes": 1 << 20, "connections": 64, "processes": 64}
"""The ring has room for what strangers on this host do meanwhile."""


def test_garbage_in_the_ring_buffer(tmp_path):
    """reader_malformed: counted, and what stands before and behind it is read."""
    stranger = (Rung("test_run", "malformed", ("write_garbage",), "", (), ("",), by_request=True),)
    attacher = Attacher({**LADDERS, "stranger": stranger}, with_object(tmp_path, "malformed"))
    try:
        attached = attacher.handle(Attach(**SIZES))
        assert isinstance(attached, Attached)
        ledger = Ledger()
        ring = RingBuffer(attached.maps["records"], SIZES["ring_bytes"])
        reader = Reader(ring, ledger.shard(), Likenesses())
        attacher._control = attacher._objects[-1]  # the stranger: its programs are run
        for _ in range(3):
            with socket.create_server(("127.0.0.1", 0)) as server:
                command = ["curl", "-s", f"http://127.0.0.1:{server.getsockname()[1]}/"]
                with subprocess.Popen(command), server.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            attacher._run("write_garbage", ())
        records = []

        def has_read_it_all() -> bool:
            records.extend(reader.read()[0])  # up to a record that is being written, if there is one
            return ledger.totals()[Entry.READER_MALFORMED] == 3

        wait_for(has_read_it_all, ledger.totals)
        ring.close()
    finally:
        attacher.handle(Detach())
    assert ledger.totals()[Entry.READER_MALFORMED] == 3
    read = (Entry.READER_EXCHANGE, Entry.READER_PIECE, Entry.READER_NOTICE)
    assert len(records) == sum(ledger.totals()[entry] for entry in read) > 3
