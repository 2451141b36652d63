"""Return instructions in machine code.

A probe at the wrong byte breaks the program that it is in: where the code is not understood to its end,
there is an error and no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from otel_ebpf.kernel.binaries.disassembly import disassembled
from otel_ebpf.kernel.binaries.errors import BinaryError

_ARM64_RETURN = 0xD65F03C0
_PADDING = re.compile(rb"\xcc*")
_ALIGNMENT = 16
_LEAVES = ("ret", "jmp", "ud2")


def in_x86_64(code: bytes, address: int) -> list[int]:
    """Return the offsets in `code` of its return instructions, up to the padding behind it.

    `address` is where it begins, to the alignment of functions. Raises `BinaryError`.
    """
    found: list[int] = []
    last = ""
    understood = 0
    for position, size, mnemonic, _ in disassembled(code):
        # The linker fills up with int3 to where the next function begins. What is behind is another's.
        if mnemonic == "int3" and last in _LEAVES and _is_padding(code, position, address):
            return found
        last = mnemonic.rpartition(" ")[2]  # "repz ret" and "bnd ret" return too
        if last == "ret":
            found.append(position)
        understood = position + size
    if understood != len(code):
        raise BinaryError(f"the code at {address + understood:#x} cannot be disassembled")
    return found


def in_aarch64(code: bytes, _address: int) -> list[int]:
    """Return the offsets in `code` of its return instructions; all instructions have 4 bytes."""
    words = memoryview(code[: len(code) & ~3]).cast("I")
    return [index * 4 for index, word in enumerate(words) if word == _ARM64_RETURN]


IN: dict[str, Callable[[bytes, int], list[int]]] = {"x86_64": in_x86_64, "aarch64": in_aarch64}


def _is_padding(code: bytes, position: int, address: int) -> bool:
    match = _PADDING.match(code, position)
    end = match.end() if match else position
    return end == len(code) or (address + end) % _ALIGNMENT == 0
