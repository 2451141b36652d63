"""Functions that begin with an instruction that the kernel does not probe."""

from __future__ import annotations

import pytest

from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.binaries.prefixes import behind_saves, is_refused, ways_out

PADDED = bytes.fromhex("2e2e2e2e4154 2e2e2e2e2e53 4883ec08 4885ff 7402 5bc3 415cc3")
"""s2n_recv of awscrt 0.38: push r12; push rbx; sub rsp,8; and two ways out."""


def test_which_are_refused() -> None:
    assert is_refused("x86_64", PADDED)
    assert not is_refused("x86_64", bytes.fromhex("f30f1efa"))  # endbr64
    assert not is_refused("x86_64", b"")
    assert not is_refused("aarch64", PADDED)


def test_entry_and_ways_out() -> None:
    assert PADDED[behind_saves(PADDED) :].startswith(bytes.fromhex("4883ec08"))
    assert ways_out(PADDED, 0) == [22, 25]
    assert ways_out(bytes.fromhex("2e53 75fd c3"), 0) == [4]  # a jump back


@pytest.mark.parametrize("code", ["2e4883ec08", "2e53 2e4883ec08"])
def test_no_place_for_the_entry(code: str) -> None:
    with pytest.raises(BinaryError):
        behind_saves(bytes.fromhex(code))


@pytest.mark.parametrize("code", ["2e53 5b e9fb000000", "2e53 ffe0", "2e53 7480 c3"])
def test_leaves_elsewhere(code: str) -> None:
    """A call at its end, a table, or a jump to code that stands apart: returns would be missed."""
    with pytest.raises(BinaryError):
        ways_out(bytes.fromhex(code), 0)
