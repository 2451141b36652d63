"""Where a Go function returns, by its table of stack heights (pcsp).

A disassembler tells too, at the cost of every instruction. The table is a list of steps: by how much the
height changes, and for how many bytes of code it then stays so, both as variable-length integers. In a
function with a frame the height is that of the entry at the entry, at each return instruction, and at its
very end, where a stack that is too small is grown before the function starts anew.

Source: step in runtime/symtab.go of Go 1.18 to 1.27; obj6.go of cmd/internal/obj/x86.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ebpf.kernel.binaries.errors import BinaryError

__all__ = ["by_height"]

_RETURN = 0xC3
_LONGEST_NUMBER = 5


def by_height(code: bytes, table: bytes, offset: int) -> tuple[int, ...] | None:
    """Return where the return instructions of x86-64 `code` stand, counted from `offset`.

    None where the table does not tell: the function has no frame, or is written in assembly. `table` may go
    on behind its end. Raises `BinaryError` for one that is broken.
    """
    entry = [start for start, height in _ranges(table, len(code)) if height == 0]
    if entry[:1] != [0]:
        return None
    found = tuple(start for start in entry[1:] if start < len(code) and code[start] == _RETURN)
    others = [start for start in entry[1:] if start not in found]
    if not found or (others and others != entry[-1:]):
        return None
    return tuple(offset + start for start in found)


def _ranges(table: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, height) of each range of instructions, until `size` bytes of code are covered."""
    position, start, height = 0, 0, -1
    while start < size:
        step, position = _number(table, position)
        if not step and start:
            return  # the end
        height += (step >> 1) ^ -(step & 1)
        length, position = _number(table, position)
        yield start, height
        start += length


def _number(table: bytes, position: int) -> tuple[int, int]:
    """Return the number at `position`, and where the next one is."""
    value = 0
    for shift in range(_LONGEST_NUMBER):
        if position >= len(table):
            break
        byte = table[position]
        position += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, position
    raise BinaryError("its table of stack heights is cut short")
