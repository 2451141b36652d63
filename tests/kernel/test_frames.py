"""No program takes more of the stack than old kernels allow: these are not at hand to say so."""

from __future__ import annotations

import pytest

from otel_ebpf.kernel.bpf_object import OBJECTS
from tests.kernel.build import with_object
from tests.kernel.frames import (
    MOST_ABOVE_TAIL_CALL,
    MOST_BYTES,
    MOST_FRAMES,
    Chain,
    chains,
    functions,
)

BUILT = sorted(OBJECTS.glob("*.bpf.o"))


def _all_chains(path) -> list[Chain]:
    found = functions(path)
    called = {name for one in found.values() for name in one.calls}
    return [chain for name in found if name not in called for chain in chains(found, name)]


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_calls_fit_into_the_stack_of_old_kernels(path):
    for chain in _all_chains(path):
        assert chain.stack <= MOST_BYTES, f"{chain.stack} bytes: {chain}"
        assert len(chain.functions) <= MOST_FRAMES, f"{len(chain.functions)} frames: {chain}"
        for place, function in enumerate(chain.functions):
            above = Chain(chain.functions[:place]).stack
            assert not function.tail_calls or above < MOST_ABOVE_TAIL_CALL, f"{above} above: {chain}"


def test_what_a_program_takes_is_counted(tmp_path):
    """Held against what the source says: sizes rounded up, calls of static and of global functions."""
    (chain,) = _all_chains(with_object(tmp_path, "deep") / "deep.bpf.o")
    assert [one.name for one in chain.functions] == ["first", "middle", "lowest"]
    assert [one.frame for one in chain.functions] == [64, 128, 480]
    assert chain.stack == 672
    assert [one.tail_calls for one in chain.functions] == [False, False, True]
