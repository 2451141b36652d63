"""Returns by the height of the stack: where it is the entry's again, and never in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_binaries_support import go_program

from otel_ebpf.kernel.binaries import BinaryError, Elf, GoBinary
from otel_ebpf.kernel.binaries import returns as returns_in
from otel_ebpf.kernel.binaries.pclntab import Pclntab
from otel_ebpf.kernel.binaries.stack_height import by_height

RET, NOP = 0xC3, 0x90


def number(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def table(*ranges: tuple[int, int]) -> bytes:
    """A table of (height, bytes of code)."""
    made, height = b"", -1
    for wanted, size in ranges:
        step = wanted - height
        made += number(step << 1 if step >= 0 else (-step << 1) - 1) + number(size)
        height = wanted
    return made + b"\0"


def code(size: int, *returns: int) -> bytes:
    return bytes(RET if at in returns else NOP for at in range(size))


def test_a_return_stands_where_the_height_is_the_entry_s():
    heights = table((0, 4), (200, 300), (0, 1), (200, 20), (0, 1), (200, 3), (0, 9))
    assert by_height(code(338, 304, 325), heights, 1000) == (1304, 1325)
    assert by_height(code(338, 304, 325, 329), heights, 0) == (304, 325, 329), "the end may begin with one"


@pytest.mark.parametrize(
    ("heights", "returns"),
    [
        (table((0, 40)), [39]),
        (table((0, 4), (8, 30), (0, 6)), []),
        (table((0, 4), (8, 10), (0, 2), (8, 10), (0, 1), (8, 13)), [26]),
        (table((8, 20), (0, 20)), [20]),
    ],
    ids=["no frame", "no return", "what is back at the entry's height is no return", "starts with a frame"],
)
def test_where_there_is_doubt_nothing_is_told(heights: bytes, returns: list[int]):
    assert by_height(code(40, *returns), heights, 0) is None


@given(st.binary(max_size=64), st.binary(max_size=200))
def test_whatever_the_table_says(heights: bytes, instructions: bytes):
    try:
        found = by_height(instructions, heights, 0)
    except BinaryError:
        return
    assert all(instructions[at] == RET for at in found or ())


def test_a_compiler_s_tables_say_what_a_disassembler_does():
    names = [f"crypto/tls.(*Conn).{name}" for name in ("Read", "Write", "Close", "Handshake")]
    with Elf(go_program("-ldflags=-s -w")) as elf:
        found = Pclntab(elf).functions(names)
        assert len(found) >= 3
        for function in found.values():
            image = elf.image.read(function.offset, function.size)
            wanted = tuple(function.offset + at for at in returns_in.in_x86_64(image, function.offset))
            assert Pclntab(elf).returns(function) == wanted == GoBinary(elf).returns(function)
