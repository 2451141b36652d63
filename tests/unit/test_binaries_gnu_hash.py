"""The loader's hash table: what it finds is what a search finds, and a broken one ends in an error."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from test_binaries_support import LIBRARY, compiled, folder

from otel_ebpf.kernel.binaries import BinaryError, Elf

NAMES = ("my_target_read", "target_read", "target_write", "late", "imported", "nothing", "")


def hashed(style: str) -> Path:
    options = ("-shared", "-fPIC", f"-Wl,--hash-style={style}")
    return compiled(f"hashed-{style}.so", LIBRARY, *options)


def found(path: Path) -> set[str]:
    with Elf(path) as elf:
        return set(elf.functions(NAMES, enough=bool))


def broken(change: dict[int, int]) -> Path:
    """A copy of the library whose table has these 32-bit words changed, counted from its start."""
    path = hashed("gnu")
    with Elf(path) as elf:
        table = next(one for one in elf.sections if one.name == b".gnu.hash")
    data = bytearray(path.read_bytes())
    for word, value in change.items():
        struct.pack_into("<I", data, table.offset + word * 4, value)
    (folder() / "broken.so").write_bytes(data)
    return folder() / "broken.so"


def chains() -> tuple[int, int]:
    """The words at which the buckets and the chains begin."""
    path = hashed("gnu")
    with Elf(path) as elf:
        table = next(one for one in elf.sections if one.name == b".gnu.hash")
    buckets, _, filter_words, _ = struct.unpack_from("<IIII", path.read_bytes(), table.offset)
    return 4 + filter_words * 2, 4 + filter_words * 2 + buckets


def test_the_same_is_found_with_it_and_without():
    assert found(hashed("gnu")) == found(hashed("sysv")) == {"my_target_read", "target_read", "target_write"}


def test_what_is_found_of_it_can_be_enough():
    with Elf(hashed("gnu")) as elf:
        assert "inner_only" in elf.functions(["target_read", "inner_only"])
        assert "inner_only" not in elf.functions(["target_read", "inner_only"], enough=bool)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({0: 0}, "larger than its section"),
        ({0: 1 << 28}, "larger than its section"),
        ({2: 1 << 28}, "larger than its section"),
    ],
    ids=["no buckets", "many buckets", "a long filter"],
)
def test_a_header_that_lies_is_refused(change: dict[int, int], error: str):
    with pytest.raises(BinaryError, match=error):
        found(broken(change))


def test_a_bucket_that_leads_outside_is_refused():
    buckets, first_chain = chains()
    with pytest.raises(BinaryError, match=r"no end|outside|cut short"):
        found(broken(dict.fromkeys(range(buckets, first_chain), 1 << 24)))


def test_a_chain_without_an_end_is_refused():
    _, first_chain = chains()
    with pytest.raises(BinaryError, match="no end"):
        found(broken(dict.fromkeys(range(first_chain, first_chain + 6), 0)))
