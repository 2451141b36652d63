"""What a hit of a probe costs a program, by the instruction that the probe stands on (ADR 23).

python -m benchmarks.trap [--rounds N] [--quick]
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks import options
from benchmarks.results import Check, Result, Table, publish
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.binaries import Elf
from otel_ebpf.kernel.binaries.disassembly import disassembled
from otel_ebpf.kernel.ladder import CONTROL, LADDERS, RUNTIMES
from otel_ebpf.kernel.messages import Attach, AttachedFile, AttachFile, Detach, DetachFile, Point
from otel_ebpf.kernel.trap import call_ns, own_function

PROGRAM = "nginx_sends"
"""Ends at once in a process that is no nginx."""
INSTRUCTIONS = 8
BOTH = "entry and return, at an emulated instruction"


@contextmanager
def attached(attacher: Attacher, path: str, *points: Point) -> Iterator[None]:
    """Have probes in this process alone."""
    answer = attacher.handle(AttachFile(path, points, os.getpid()))
    assert isinstance(answer, AttachedFile)
    try:
        yield
    finally:
        attacher.handle(DetachFile(answer.token))


def main() -> None:
    chosen = options.parse(__doc__, rounds=7, seconds=0)
    path, function = own_function()
    with Elf(path) as elf:
        code = elf.image.read(function.offset, function.size)
        places = {
            f"{mnemonic} {operands}".strip(): (at, "steps" if elf.steps_at(at) else "emulates")
            for at, _, mnemonic, operands in disassembled(code, function.offset)[:INSTRUCTIONS]
        }
    attacher = Attacher({name: LADDERS[name] for name in (CONTROL, *RUNTIMES)})
    attacher.handle(Attach())
    samples: dict[str, list[float]] = defaultdict(list)
    try:
        for _ in range(chosen.rounds):
            without = call_ns()
            for instruction, (place, _) in places.items():
                with attached(attacher, path, Point(PROGRAM, place)):
                    samples[instruction].append(call_ns() - without)
            both = (Point(PROGRAM, function.offset), Point(PROGRAM, function.offset, at_return=True))
            with attached(attacher, path, *both):
                samples[BOTH].append(call_ns() - without)
    finally:
        attacher.handle(Detach())

    def cost(kind: str) -> float:
        return median(median(samples[one]) for one, (_, does) in places.items() if does == kind)

    checks = [
        Check("a hit where the kernel emulates the instruction", cost("emulates"), "ns"),
        Check("a hit where it steps over it", cost("steps"), "ns"),
        Check(BOTH, median(samples[BOTH]), "ns"),
    ]
    rows: list[tuple[str | float, ...]] = [
        (one, does, median(samples[one])) for one, (_, does) in places.items()
    ]
    table = Table("One function's instructions", ("instruction", "the kernel", "ns/hit"), rows)
    publish(Result("trap", checks, [table], dict(samples)), chosen.folder)


if __name__ == "__main__":
    main()
