"""Functions and returns of Go programs: the same whether stripped or not, and as objdump has them."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import time

import pytest
from test_binaries_support import PROGRAM, compiled, folder, go_program, run, symbols

from otel_ebpf.kernel.binaries import BinaryError, Elf, Function, GoBinary, go_layouts
from otel_ebpf.kernel.binaries import returns as returns_in
from otel_ebpf.kernel.binaries.pclntab import Pclntab
from otel_ebpf.kernel.tls_libraries import places

NAMES = (
    "crypto/tls.(*Conn).Read",
    "crypto/tls.(*Conn).Write",
    "crypto/tls.(*Conn).Close",
    "runtime.goexit1",
    "runtime.newproc1",
    "runtime.memmove",
    "main.main",
)
STRIPPED = "-ldflags=-s -w"


def found_in(path) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Offsets of the functions and of their returns."""
    with Elf(path) as elf:
        assert elf.is_go()
        go = GoBinary(elf)
        functions = go.functions((*NAMES, "crypto/tls.(*Conn).Rea", "tls.(*Conn).Read", "", "a\0b"))
        return (
            {name: one.offset for name, one in functions.items()},
            {name: go.returns(one) for name, one in functions.items()},
        )


def test_stripped_or_not_the_same_is_found():
    offsets, returns = found_in(go_program())
    assert offsets.keys() == set(NAMES)
    assert all(returns[name] for name in NAMES)
    assert found_in(go_program(STRIPPED)) == (offsets, returns)
    data = go_program().read_bytes()
    assert {data[at] for places in returns.values() for at in places} <= {0xC3, 0xC2}
    addresses = symbols(go_program())
    with Elf(go_program()) as elf:
        assert {name: elf.address(offset) for name, offset in offsets.items()} == {
            name: addresses[name] for name in NAMES
        }


def test_the_version_is_that_of_the_compiler():
    with Elf(go_program(STRIPPED)) as elf:
        assert GoBinary(elf).version == run("go", "env", "GOVERSION").split()[0]


def test_every_return_of_every_function_is_as_objdump_has_it():
    if shutil.which("objdump") is None:
        pytest.skip("no objdump here")
    path = go_program()
    with Elf(path) as elf:
        go = GoBinary(elf)
        names = [name for name in symbols(path) if name.startswith(("crypto/tls.", "runtime.g"))]
        functions = go.functions(names[:300])
        assert len(functions) > 200
        for name in list(functions)[::25]:
            one = functions[name]
            start = elf.address(one.offset)
            assert start is not None
            told = subprocess.run(
                ["objdump", "-d", f"--start-address={start}", f"--stop-address={start + one.size}", path],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            wanted = re.findall(r"^\s*([0-9a-f]+):\s+(?:[0-9a-f]{2} )+\s+(?:repz )?ret", told, re.MULTILINE)
            assert [elf.address(at) for at in go.returns(one)] == [int(at, 16) for at in wanted], name


def test_its_own_table_agrees_with_the_symbols():
    names = [name for name in symbols(go_program()) if not name.endswith(".abi0")][::15]
    with Elf(go_program()) as elf:
        own, told = Pclntab(elf).functions(names), elf.functions(names)
        assert len(own) > 100
        assert {name: one.offset for name, one in own.items()} == {name: told[name].offset for name in own}
        assert all(0 <= one.size - told[name].size < 64 for name, one in own.items())


@pytest.mark.parametrize("external", [False, True])
def test_position_independent(external):
    options = [STRIPPED + (" -linkmode=external" if external else ""), "-buildmode=pie"]
    offsets, returns = found_in(go_program(*options, CGO_ENABLED="1"))
    assert offsets.keys() == set(NAMES)
    usual = found_in(go_program())[1]
    assert {name: len(places) for name, places in returns.items()} == {
        name: len(places) for name, places in usual.items()
    }


def test_without_section_headers():
    data = bytearray(go_program(STRIPPED).read_bytes())
    data[40:48] = bytes(8)
    data[60:64] = bytes(4)
    path = folder() / "go-no-sections"
    path.write_bytes(data)
    assert found_in(path) == found_in(go_program(STRIPPED))


def test_arm64():
    path = go_program(STRIPPED, GOARCH="arm64")
    with Elf(path) as elf:
        assert elf.machine == "aarch64"
        go = GoBinary(elf)
        one = go.functions(["main.main"])["main.main"]
        places = go.returns(one)
    data = path.read_bytes()
    assert places
    assert all(data[at : at + 4] == b"\xc0\x03\x5f\xd6" for at in places)


def test_soon():
    started = time.process_time()
    found_in(go_program(STRIPPED))
    assert time.process_time() - started < 1


def test_what_go_did_not_make_is_refused():
    with Elf(compiled("program", PROGRAM)) as elf, pytest.raises(BinaryError, match="no Go program"):
        GoBinary(elf)


@pytest.mark.parametrize("magic", [0xFFFFFFFB, 0xFFFFFFFA])
def test_tables_of_older_versions_are_refused_and_named(magic):
    data = go_program(STRIPPED).read_bytes()
    path = folder() / "go-old"
    path.write_bytes(data.replace(b"\xf1\xff\xff\xff\0\0\1\x08", struct.pack("<I", magic) + b"\0\0\1\x08", 1))
    with Elf(path) as elf, pytest.raises(BinaryError, match=r"Go 1\.\d+ .* not supported"):
        GoBinary(elf)


def test_where_the_code_begins_is_never_guessed():
    data = bytearray(go_program(STRIPPED).read_bytes())
    with Elf(go_program(STRIPPED)) as elf:
        section = elf.section(b".gopclntab")
        address = elf.address(section.offset) if section else None
    assert address is not None
    place = data.index(struct.pack("<QQ", address, address + 72))
    data[place + 22 * 8] ^= 16
    path = folder() / "go-moved"
    path.write_bytes(data)
    with Elf(path) as elf, pytest.raises(BinaryError, match="where its Go code begins"):
        GoBinary(elf)


def test_a_function_of_unknown_size_has_no_returns_to_tell():
    with Elf(go_program()) as elf:
        go = GoBinary(elf)
        for size in (0, -1, 1 << 30):
            with pytest.raises(BinaryError):
                go.returns(Function(4096, size))
        with pytest.raises(BinaryError):
            go.returns(Function(go_program().stat().st_size - 4, 100))


def test_returns_in_x86_64():
    returns = returns_in.in_x86_64
    assert returns(b"\xc3", 0) == [0]
    assert returns(b"\x90\xf3\xc3\xc2\x08\x00\xc3", 0) == [1, 3, 6]
    # A return's byte inside of another instruction: mov $0xc3c3c3c3,%eax
    assert returns(b"\xb8\xc3\xc3\xc3\xc3\xc3", 0) == [5]
    # Padding to the next function, and what is no part of this one behind it.
    assert returns(b"\x90\xc3" + b"\xcc" * 14 + b"\x90\xc3", 0x1000) == [1]
    assert returns(b"\x90\xc3" + b"\xcc" * 14, 0x1000) == [1]
    # A breakpoint among the code is none.
    assert returns(b"\xcc\x90\xcc\xc3", 0) == [3]
    # A call whose last byte looks like padding, before padding.
    assert returns(b"\xc3\xe8\x00\x00\x00\xcc" + b"\xcc" * 10, 0) == [0]
    for broken in (b"\xc3\x06", b"\xc3\xe8\0\0", b"\x06\xc3"):
        with pytest.raises(BinaryError, match="disassembled"):
            returns(broken, 0)


def test_returns_in_arm64():
    ret, nop = b"\xc0\x03\x5f\xd6", b"\x1f\x20\x03\xd5"
    assert returns_in.in_aarch64(nop + ret + nop + ret + b"\xc0\x03", 0) == [4, 12]
    assert returns_in.in_aarch64(b"\0\0" + ret + b"\0\0", 0) == []


@pytest.mark.parametrize("options", [(), ("-ldflags=-compressdwarf=false",)])
def test_fields_are_where_the_program_itself_says(options):
    path = go_program(*options)
    told = dict(line.split() for line in run(path).splitlines())
    with Elf(path) as elf:
        go = GoBinary(elf)
        assert {name: go.field_offset("crypto/tls.Conn", name) for name in told} == {
            name: int(offset) for name, offset in told.items()
        }
        assert go.field_offset("crypto/tls.Conn", "nothing") is None
        assert go.field_offset("no.Type", "conn") is None
        assert go.field_offset("", "") is None


def test_fields_of_a_stripped_program_are_those_of_its_version():
    with Elf(go_program(STRIPPED)) as elf:
        go = GoBinary(elf)
        assert go.field_offset("crypto/tls.Conn", "conn") == 0
        assert go.field_offset("crypto/tls.Conn", "out") is None  # not one that is listed
        versions = ("go1.17", "go1.18.10", "go1.24.1", "go1.25", "go1.99", "devel +6a1f2b")
        told = {}
        for go.version in versions:
            told[go.version] = go.field_offset("runtime.m", "curg")
    assert list(told.values()) == [None, 192, 192, 184, 184, 184]


def test_a_program_that_keeps_its_sockets_elsewhere_is_refused(monkeypatch):
    monkeypatch.setitem(go_layouts.OFFSETS, ("internal/poll.FD", "Sysfd"), ((18, 16), (19, 24)))
    with (
        Elf(go_program(STRIPPED)) as elf,
        pytest.raises(BinaryError, match=r"Sysfd of internal/poll\.FD at 24"),
    ):
        places(elf)
    with Elf(go_program()) as elf:
        assert places(elf)


@pytest.mark.parametrize("value", [0, 1, 0xFF])
def test_broken_descriptions_tell_nothing(value):
    original = go_program("-ldflags=-compressdwarf=false").read_bytes()
    with Elf(go_program("-ldflags=-compressdwarf=false")) as elf:
        section = elf.section(b".debug_abbrev")
    assert section is not None
    for step in (1, 2, 7):
        data = bytearray(original)
        data[section.offset : section.offset + section.size : step] = bytes(
            [value] * len(range(0, section.size, step))
        )
        path = folder() / "go-broken-dwarf"
        path.write_bytes(data)
        with Elf(path) as elf:
            assert GoBinary(elf).field_offset("crypto/tls.Conn", "conn") in (None, 0)
