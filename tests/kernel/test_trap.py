"""What a hit of a probe costs is measured, on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ladder import CONTROL, LADDERS, RUNTIMES
from otel_ebpf.kernel.messages import Attach, Detach, HitTimed, TimeHit

TRAP_NS_LEAST = 50
"""A probe that is not hit costs nothing; a trap into the kernel cannot be had for this."""


@pytest.fixture
def attacher() -> Iterator[Attacher]:
    attacher = Attacher({name: LADDERS[name] for name in (CONTROL, *RUNTIMES)})
    attacher.handle(Attach())
    yield attacher
    attacher.handle(Detach())


@pytest.mark.guest
def test_a_hit_costs_what_a_trap_does(attacher: Attacher) -> None:
    timed = attacher.handle(TimeHit("nginx_sends"))
    assert isinstance(timed, HitTimed)
    assert TRAP_NS_LEAST < timed.nanoseconds < 1_000_000


def test_a_program_that_is_not_there(attacher: Attacher) -> None:
    with pytest.raises(KernelError, match="no_such_program"):
        attacher.handle(TimeHit("no_such_program"))
