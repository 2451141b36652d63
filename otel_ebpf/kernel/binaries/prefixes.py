"""Functions whose first instruction the kernel does not probe, and where their probes go instead.

Assemblers that keep branches off the ends of lines of 32 bytes (-mbranches-within-32B-boundaries) pad the
instructions before them with segment prefixes, which mean nothing. The kernel refuses to probe such an
instruction. Behind the registers that a function saves first, its arguments are still in place; a return
probe is for the very first instruction alone, so there the return instructions are probed.

Source: is_prefix_bad in arch/x86/kernel/uprobes.c of Linux 5.10 to 6.18.
"""

from __future__ import annotations

import re
from typing import Final

from otel_ebpf.kernel.binaries import returns
from otel_ebpf.kernel.binaries.disassembly import disassembled
from otel_ebpf.kernel.binaries.errors import BinaryError

_REFUSED: Final = b"\x26\x2e\x36\x3e\xf0"
_SAVES: Final = re.compile(rb"(?:[\x26\x2e\x36\x3e]*(?:[\x53\x55]|\x41[\x54-\x57]))+")  # push of rbx to r15

_BASE: Final = 1 << 32  # so that all addresses are written alike


def is_refused(machine: str, code: bytes) -> bool:
    """Say whether the kernel refuses to probe the instruction that `code` begins with."""
    return machine == "x86_64" and bool(code) and code[0] in _REFUSED


def behind_saves(code: bytes) -> int:
    """Return the offset of the first instruction behind the saved registers. Raises `BinaryError`."""
    match = _SAVES.match(code)
    if match is None or is_refused("x86_64", code[match.end() :]):
        raise BinaryError("begins with instructions that cannot be probed")
    return match.end()


def ways_out(code: bytes, address: int) -> list[int]:
    """Return the offsets of all return instructions. Raises `BinaryError` where it ends elsewhere too."""
    for _, _, mnemonic, target in disassembled(code, _BASE):
        jumps = mnemonic.rpartition(" ")[2].startswith("j")
        if jumps and not (target.startswith("0x") and _BASE <= int(target, 16) < _BASE + len(code)):
            raise BinaryError("leaves by another function, or by a table of addresses")
    return returns.in_x86_64(code, address)
