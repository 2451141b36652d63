"""Every object of every capability meets this kernel's verifier, and costs nobody else when it fails."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.bpf_object import BpfObject
from otel_ebpf.kernel.errors import KernelError, RungUnavailableError
from otel_ebpf.kernel.ladder import DNS_PACKETS, LADDERS, PAYLOAD, UDP_IO, Rung
from otel_ebpf.kernel.libbpf import libbpf
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Walk, Walked
from tests.kernel.build import with_object

pytestmark = pytest.mark.guest

SMALL = {"ring_bytes": 65536, "connections": 64, "processes": 64}
OLD = tuple(map(int, platform.release().split(".")[:2])) < (6, 3)
MISSING = {DNS_PACKETS, UDP_IO} if OLD else set()  # their tracepoints are newer
RUNGS = os.environ.get("OTEL_EBPF_TEST_RUNGS", "socket_trace,syscall").split(",")


@pytest.fixture
def attacher():
    made = Attacher()
    yield made
    made.handle(Detach())


def verified_instructions(fd: int) -> int:
    """bpf_prog_info.verified_insns (5.16); 0 before."""
    info, size = ctypes.create_string_buffer(232), ctypes.c_uint32(232)
    libbpf().integer("bpf_obj_get_info_by_fd", fd, info, ctypes.byref(size))
    return struct.unpack_from("<I", info, 216)[0] if size.value >= 220 else 0


@pytest.mark.parametrize("rung", RUNGS)
def test_each_rung_of_this_host_attaches_and_detaches(attacher, rung):
    attached = attacher.handle(Attach(rung=rung, **SMALL))
    assert isinstance(attached, Attached)
    standing = next(one for one in attached.standings if one.capability == PAYLOAD)
    assert standing.rung == rung
    assert {one.capability for one in attached.standings if not one.rung} == MISSING
    assert isinstance(attacher.handle(Walk(1, 1)), Walked)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_verifier_is_left_room(attacher, rung):
    """A check on growth: the limit is 1,000,000 instructions, and start-up pays for each."""
    attacher.handle(Attach(rung=rung, **SMALL))
    counts = {}
    for loaded in attacher._objects:
        for program in loaded.programs:
            try:
                counts[program] = verified_instructions(loaded.program_fd(program))
            except KernelError:
                continue  # not one of this rung's
    print(counts)
    assert counts
    assert max(counts.values()) < 500_000, counts


def test_a_rung_that_cannot_be_had_is_refused(attacher, monkeypatch):
    loaded, load = [], BpfObject.load

    def note_and_load(one, programs, attach_type):
        loaded.append(programs)
        load(one, programs, attach_type)

    monkeypatch.setattr(BpfObject, "load", note_and_load)
    # In a guest, what is not tested is not what is missing: 6.12 has all of them.
    known = [] if "OTEL_EBPF_GUEST" in os.environ else ["kprobe", "socket_trace"]
    missing = next((rung for rung in known if rung not in RUNGS), "no_such_rung")
    with pytest.raises(RungUnavailableError, match=missing):
        attacher.handle(Attach(rung=missing, **SMALL))
    assert attacher._objects == []
    assert loaded
    tried_first = [rung for rung in LADDERS[PAYLOAD] if rung.name == missing and rung.trials]
    hopeless = [set(rung.programs) for rung in tried_first]
    assert not [one for one in loaded if any(one >= programs for programs in hopeless)], (
        "verified before its trial"
    )


def test_an_invalid_program_costs_its_own_capability_and_nothing_else(tmp_path):
    broken = (Rung("only", "invalid", ("reads_anything",), "", (), ("",)),)
    attacher = Attacher({**LADDERS, "broken": broken}, with_object(tmp_path, "invalid"))
    try:
        attached = attacher.handle(Attach(**SMALL))
        standings = {one.capability: one for one in attached.standings}
        assert standings["broken"].rung == ""
        assert "invalid mem access" in standings["broken"].refusals[0].reason
        assert {name for name, one in standings.items() if not one.rung} == {"broken"} | MISSING
    finally:
        attacher.handle(Detach())


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + b"\xff" * 500, os.urandom(4096)])
def test_a_broken_object_file_is_an_error_and_no_more(tmp_path, content):
    (tmp_path / "broken.bpf.o").write_bytes(content)
    with pytest.raises(KernelError):
        BpfObject("broken", tmp_path)
