"""The memory that probes in user space work on: a few slots, of which none may be free."""

from __future__ import annotations

import ctypes
import os
import ssl
import subprocess
import sys
from pathlib import Path

import trustme

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.mappings import executable_mappings
from otel_ebpf.kernel.messages import Attach, Attached, AttachFile, Detach
from otel_ebpf.kernel.tables import Tables

PROGRAM = Path(__file__).parent / "programs" / "tls_in_memory.py"
SLOTS = 32  # bpf/core/call.h


def set_locks(attached: Attached, value_size: int, locked: int) -> None:
    """Write every slot's lock, which stands in its last eight bytes."""
    value = bytes(value_size - 8) + locked.to_bytes(8, "little")
    for number in range(SLOTS):
        key = ctypes.c_uint32(number)
        libbpf().integer("bpf_map_update_elem", attached.maps["slots"], ctypes.byref(key), value, 0)


def test_no_slot_is_free(tmp_path: Path) -> None:
    """event_contended: what cannot be taken is counted, and the next session is seen again."""
    assert ssl.OPENSSL_VERSION
    (library,) = (one for one in executable_mappings(os.getpid()) if "libssl" in one.name)
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
    attacher = Attacher()
    try:
        attached = attacher.handle(Attach(connections=64, processes=64))
        assert isinstance(attached, Attached)
        attacher.handle(AttachFile(library.path, look_into(library.path).tls[0].points))
        (size,) = (one.value_size("slots") for one in attacher._objects if "slots" in one.maps)
        totals = Tables(attached.maps).ledger_totals
        command = [sys.executable, str(PROGRAM), str(tmp_path / "pem")]
        set_locks(attached, size, 1)
        subprocess.run(command, check=True)
        assert totals()[Entry.EVENT_CONTENDED] >= 2, "a write and a read"
        before = totals()
        set_locks(attached, size, 0)
        subprocess.run(command, check=True)
        after = totals()
    finally:
        attacher.handle(Detach())
    assert after[Entry.EVENT_CONTENDED] == before[Entry.EVENT_CONTENDED]
    assert after[Entry.EXCHANGE_SEEN] >= before[Entry.EXCHANGE_SEEN] + 2
