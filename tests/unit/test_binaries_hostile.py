"""Files that lie: `BinaryError` or nothing found, soon, and never anything else."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_binaries_support import folder, go_program, library

from otel_ebpf.kernel.binaries import BinaryError, Elf, GoBinary
from otel_ebpf.kernel.binaries.image import Image
from otel_ebpf.kernel.errors import KernelError
from tests.no_more_files import no_more_files

NAMES = ("target_read", "target_write", "main.main", "crypto/tls.(*Conn).Read")
HEADER = 64
SECTION = 64
SECONDS = 2.0  # twice what is promised: the host is shared


def look(path: Path) -> None:
    """Everything there is to ask, as the agent does."""
    with Elf(path) as elf:
        elf.functions(NAMES)
        if elf.is_go():
            go = GoBinary(elf)
            for function in go.functions(NAMES).values():
                go.returns(function)


def survives(data: bytes) -> None:
    path = folder() / "hostile"
    path.write_bytes(data)
    started = time.process_time()
    told = "nothing"
    try:
        look(path)
    except BinaryError as error:
        told = str(error)
    assert told
    assert "\n" not in told
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\necho\n", b"\x7fELF", b"\x7fELF" + bytes(200), b"MZ" * 100]
)
def test_what_is_no_elf_file_is_refused(tmp_path, content):
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(BinaryError):
        Elf(tmp_path / "it")


@pytest.mark.parametrize(("place", "value"), [(4, 1), (5, 2), (18, 3), (18, 8)])
def test_other_machines_are_refused(tmp_path, place, value):
    data = bytearray(library().read_bytes())
    data[place] = value
    (tmp_path / "it").write_bytes(data)
    with pytest.raises(BinaryError, match=r"64 bits|machine"):
        Elf(tmp_path / "it")


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "pipe",
        tmp_path,
        Path("/dev/zero"),
        tmp_path / "missing",
        "a\0b",
        "/proc/self/mem",
    ):
        with pytest.raises(BinaryError):
            Elf(path)


def test_where_no_more_files_may_be_open_that_says_nothing_of_the_file():
    path = library()
    with no_more_files(), pytest.raises(KernelError) as caught:
        Elf(path)
    assert caught.value.passes


def test_nothing_stays_open(tmp_path):
    (tmp_path / "it").write_bytes(b"no")
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "it", tmp_path, "/dev/null"):
        with pytest.raises(BinaryError):
            Elf(path)
    with Elf(library()) as elf:
        elf.close()
    with pytest.raises(BinaryError):
        elf.functions(["target_read"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_cut_short_while_it_is_read(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(go_program().read_bytes())
    with Elf(path) as elf:
        go = GoBinary(elf)
        os.truncate(path, 100_000)
        with pytest.raises(BinaryError, match="cut short"):
            go.functions(NAMES)


@pytest.mark.parametrize("make", [library, go_program])
def test_truncated_anywhere(make):
    data = make().read_bytes()
    for part in range(0, 24):
        survives(data[: len(data) * part // 24])


@pytest.mark.parametrize("value", [0, 1, 23, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("field", [0, 4, 24, 32, 40, 56])
def test_every_section_header_lies(field, value):
    data = bytearray(library().read_bytes())
    start, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    size = 4 if field in (0, 4, 40) else 8
    for index in range(count):
        at = start + index * SECTION + field
        data[at : at + size] = (value & (256**size - 1)).to_bytes(size, "little")
    survives(data)


@pytest.mark.parametrize("field", [32, 40, 54, 56, 58, 60, 62])
@pytest.mark.parametrize("value", [0, 1, 0xFFFF, 2**16 - 2])
def test_every_count_in_the_header_lies(field, value):
    for make in (library, go_program):
        data = bytearray(make().read_bytes())
        struct.pack_into("<H", data, field, value)
        survives(data)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_random_changes_of_a_library(data):
    survives(changed(library(), data))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_random_changes_of_a_go_program(data):
    path = go_program("-ldflags=-s -w")
    with Elf(path) as elf:
        sections = {name: elf.section(name) for name in (b".gopclntab", b".go.module", b".go.buildinfo")}
    starts = [0, *(section.offset for section in sections.values() if section)]
    survives(changed(path, data, starts))


def changed(path: Path, data: st.DataObject, starts: list[int] | None = None) -> bytes:
    """Its bytes with a few changed, most of them where structures are: headers, tables, first words."""
    content = bytearray(path.read_bytes())
    tables = struct.unpack_from("<Q", content, 40)[0]
    starts = [*(starts or [0]), tables]
    near = st.builds(int.__add__, st.sampled_from(starts), st.integers(0, 2000))
    places = st.one_of(near, st.integers(0, len(content) - 1))
    words = st.one_of(
        st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, bytes(8), b"\1" + bytes(7)])
    )
    for place, word in data.draw(st.lists(st.tuples(places, words), min_size=1, max_size=8)):
        content[place : place + len(word)] = word
    return bytes(content)


def crafted(tmp_path: Path, strings: bytes, symbols: bytes, stride: int = 24, kind: int = 2) -> Path:
    """A file with one executable segment over all of it, a string table and a symbol table."""
    size = HEADER + 56 + len(strings) + len(symbols) + 3 * SECTION
    at_strings = HEADER + 56
    at_symbols = at_strings + len(strings)
    at_sections = at_symbols + len(symbols)
    header = struct.pack(
        "<4s4B8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, 62, 1, 0, 64, at_sections, 0, 64, 56, 1, 64, 3, 1
    )
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, 0, 0, size, size, 4096)
    sections = bytes(SECTION)
    sections += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, at_strings, len(strings), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, at_symbols, len(symbols), 1, 0, 8, stride)
    (tmp_path / "crafted").write_bytes(header + segment + strings + symbols + sections)
    return tmp_path / "crafted"


def symbol(name: int, info: int = 0x12, section: int = 1, value: int = 100, size: int = 8) -> bytes:
    return struct.pack("<IBBHQQ", name, info, 0, section, value, size)


def test_a_crafted_file_is_understood(tmp_path):
    """So that the hostile ones below are refused for what they are meant to be."""
    rows = symbol(0, section=0) + symbol(1, section=0) + symbol(1, info=0x11) + symbol(1, info=0x1A)
    rows += (
        symbol(1, section=0xFFF1)
        + symbol(1, value=1 << 40)
        + symbol(1, info=2, value=300)
        + symbol(1, value=200)
    )
    with Elf(crafted(tmp_path, b"\0target_read\0", rows)) as elf:
        assert elf.functions(NAMES)["target_read"].offset == 200
    with Elf(crafted(tmp_path, b"\0target_read\0", symbol(1, size=1 << 50))) as elf:
        assert elf.functions(NAMES)["target_read"].size == 0


@pytest.mark.parametrize("stride", [0, 1, 23, 25, 2**64 - 1])
def test_symbols_of_another_size(tmp_path, stride):
    with (
        Elf(crafted(tmp_path, b"\0target_read\0", symbol(1), stride)) as elf,
        pytest.raises(BinaryError, match="24"),
    ):
        elf.functions(NAMES)


@pytest.mark.parametrize(
    ("strings", "rows"),
    [
        (b"target_read\0" * 500_000, symbol(0) * 10),
        (b"target_rea\0\0" * 3_000_000, symbol(0) * 10),
        (b"\0target_read\0", symbol(1) * 1_000_000),
        (b"\0target_read\0", (symbol(1) + symbol(0) * 9999) * 100),
        (b"\1" * 0x01010101 + b"target_read\0", b"\1" * 24_000_000),
        (bytes(50_000_000), bytes(24_000_000)),
    ],
    ids=["a name everywhere", "almost a name", "one name", "one a piece", "all alike", "zeros"],
)
def test_tables_made_to_take_long(tmp_path, strings, rows):
    path = crafted(tmp_path, strings, rows)
    started = time.process_time()
    with contextlib.suppress(BinaryError):
        look(path)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("address", [2**64 - 1, 2**64 - 4096, 2**63, 2**63 - 1])
def test_segments_at_the_end_of_the_address_space(address):
    for make in (library, go_program):
        data = bytearray(make().read_bytes())
        start, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
        for index in range(count):
            struct.pack_into("<Q", data, start + index * 56 + 16, address)
        survives(data)


def test_a_huge_file_of_nothing_takes_no_time(tmp_path):
    path = crafted(tmp_path, b"\0target_read\0", symbol(1))
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<QQ", data, start + SECTION + 24, 0, 1 << 40)  # its string table: a terabyte
    struct.pack_into("<Q", data, HEADER + 32, 1 << 40)
    path.write_bytes(data)
    os.truncate(path, 1 << 41)
    started = time.process_time()
    with Elf(path) as elf:
        with pytest.raises(BinaryError, match="believable"):
            elf.functions(NAMES)
        elf.is_go()
    assert time.process_time() - started < SECONDS


def test_what_is_found_over_the_seam_of_two_pieces(tmp_path):
    seam = 1 << 18
    for place in range(seam - 8, seam + 3):
        (tmp_path / "it").write_bytes(b"x" * place + b"needle\0" + b"x" * 100)
        image = Image(tmp_path / "it")
        assert list(image.search([b"needle\0", b"dle\0"], 0, image.size)) in (
            [(b"needle\0", place), (b"dle\0", place + 3)],
        )
        image.close()
