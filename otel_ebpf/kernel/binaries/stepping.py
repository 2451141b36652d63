"""Where a probe costs one trap and not two.

The kernel runs the instruction that a breakpoint stands on elsewhere, by a single step, which takes a second
trap: on hardware as much again, in some virtual machines thirty times that. The few instructions that it
emulates it need not run. So a probe at a function's entry goes to the first of them, as long as all that is
read at an entry is still as it was.

Source: push_setup_insn and branch_setup_insn in arch/x86/kernel/uprobes.c of Linux 5.10 to 6.18.
"""

from __future__ import annotations

import re
from typing import Final

from otel_ebpf.kernel.binaries.disassembly import disassembled

__all__ = [
    "C_ARGUMENTS",
    "GO_ARGUMENTS",
    "cheap_exit",
    "cheap_exits",
    "cheap_place",
    "handed_on",
    "is_emulated",
    "jumps_to",
]

_PUSH: Final = re.compile(rb"[\x50-\x57]|\x41[\x50-\x57]")
_EMULATED: Final = re.compile(
    rb"[\x50-\x57]|\x41[\x50-\x57]"  # push
    rb"|[\x70-\x7f].|\x0f[\x80-\x8f].{4}"  # jcc
    rb"|\xeb.|\xe9.{4}|\xe8.{4}|\x90",  # jmp, call, nop
    re.DOTALL,
)
_FARTHEST: Final = 12
"""Instructions: those that read the arguments into other registers come first."""
_START: Final = 96
"""Bytes that hold those."""
_BASE: Final = 1 << 32  # so that all addresses are written alike

C_ARGUMENTS: Final = frozenset({"rdi", "rsi", "rdx", "rcx", "r8", "r9"})
GO_ARGUMENTS: Final = C_ARGUMENTS | {"rax", "rbx", "r10", "r11", "r14"}
"""Of Go's own calls, with the goroutine (r14)."""

_LEGACY: Final = {
    name: f"r{wide}"
    for wide in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
    for name in (f"e{wide}", wide, f"{wide}l" if wide[1] != "x" else f"{wide[0]}l", f"{wide[0]}h")
}
_ONLY_READ: Final = frozenset({"endbr64", "nop", "test", "cmp"})
_WRITE_ONE: Final = frozenset({"inc", "dec", "pop", "or"})
_WRITE_FIRST: Final = frozenset({"lea", "xor", "sub", "and", "add"})


def is_emulated(code: bytes) -> bool:
    """Say whether the kernel emulates the instruction that x86-64 `code` begins with."""
    return _EMULATED.match(code) is not None


def cheap_place(code: bytes, arguments: frozenset[str], *, stack: bool, whole: bool) -> int:
    """Return the offset in a function's x86-64 `code` at which a probe for its entry costs least.

    None of the registers in `arguments` has been written there, nor the pointer to the stack, where `stack`.
    0 where there is no such place, or it could be passed twice: that is seen in the `whole` function alone.
    Raises `BinaryError` where code cannot be read at all.
    """
    if is_emulated(code):
        return 0
    for address, _, mnemonic, operands in disassembled(code[:_START], _BASE)[:_FARTHEST]:
        at = address - _BASE
        if is_emulated(code[at:]):
            once = _PUSH.match(code, at) or (whole and _is_passed_once(code, at))  # no loop pushes
            return at if once else 0
        if not _is_harmless(mnemonic, operands, arguments, stack):
            return 0
    return 0


def cheap_exit(code: bytes) -> int | None:
    """Return the offset in a whole function of a branch that each call passes once, with its result in rax.

    None where there is no such branch, or there are several returns: those are the places then.
    """
    lines = disassembled(code, _BASE)
    ends = [number for number, line in enumerate(lines) if _returns(line[2])]
    jumps = [(line[0], target) for line in lines if line[2].startswith("j") for target in _targets([line])]
    by_table = any(line[2] == "jmp" and not line[3].startswith("0x") for line in lines)
    if len(ends) != 1 or by_table or not _is_whole(lines, code):
        return None
    for number in range(ends[0] - 1, -1, -1):
        address, _, mnemonic, operands = lines[number]
        if mnemonic.startswith("j"):
            last = range(address - _BASE + 1, lines[ends[0]][0] - _BASE + 1)
            leads = {target in last for start, target in jumps if start - _BASE in last or start == address}
            enters = {start - _BASE in last or start == address for start, target in jumps if target in last}
            if leads | enters == {True} and is_emulated(code[address - _BASE :]):
                return address - _BASE
        elif not _keeps_result(mnemonic, operands):
            return None
        if mnemonic == "jmp":
            return None
    return None


def cheap_exits(code: bytes) -> list[int]:
    """Return the offsets of branches of which each call of a whole function passes one or more, at its end.

    They are those that lead to the block with the only return. None where it is reached otherwise too.
    """
    lines = disassembled(code, _BASE)
    ends = [number for number, line in enumerate(lines) if _returns(line[2])]
    by_table = any(line[2] == "jmp" and not line[3].startswith("0x") for line in lines)
    if len(ends) != 1 or by_table or not _is_whole(lines, code):
        return []
    jumps = [
        (line[0] - _BASE, target) for line in lines if line[2].startswith("j") for target in _targets([line])
    ]
    targets = {target for _, target in jumps}
    start = ends[0]
    while start and lines[start][0] - _BASE not in targets and not lines[start - 1][2].startswith("j"):
        start -= 1
    before = lines[start - 1] if start else None
    if before is None or not before[2].startswith("j"):
        return []
    first = lines[start][0] - _BASE
    places = {at for at, target in jumps if target == first}
    if before[2] != "jmp":
        places.add(before[0] - _BASE)
    return sorted(places) if all(is_emulated(code[at:]) for at in places) else []


def handed_on(code: bytes) -> int | None:
    """Return where, from its own start, is the function that this one calls first, with the same arguments.

    None if it does anything else before.
    """
    for _, _, mnemonic, operands in disassembled(code, _BASE)[:_FARTHEST]:
        if mnemonic in ("call", "jmp") and operands.startswith("0x"):
            return int(operands, 16) - _BASE
        if not _is_harmless(mnemonic, operands, C_ARGUMENTS, stack=False):
            return None
    return None


def jumps_to(code: bytes) -> set[int]:
    """Return all places to which a function jumps or which it calls, from its own start."""
    return set(_targets(disassembled(code, _BASE)))


def _is_passed_once(code: bytes, at: int) -> bool:
    lines = disassembled(code, _BASE)
    return _is_whole(lines, code) and not any(0 < target <= at for target in _targets(lines))


def _is_whole(lines: list[tuple[int, int, str, str]], code: bytes) -> bool:
    """Say whether all of the code was understood: what was not may jump anywhere."""
    return bool(lines) and lines[-1][0] + lines[-1][1] - _BASE == len(code)


def _targets(lines: list[tuple[int, int, str, str]]) -> list[int]:
    return [
        int(operands, 16) - _BASE
        for _, _, mnemonic, operands in lines
        if operands.startswith("0x") and mnemonic.rpartition(" ")[2][:1] in ("j", "c")
    ]


def _is_harmless(mnemonic: str, operands: str, arguments: frozenset[str], stack: bool) -> bool:
    if mnemonic in _ONLY_READ:
        return True
    target = operands.partition(",")[0].strip()
    if "[" in target:
        return mnemonic.startswith("mov")
    if not (mnemonic.startswith("mov") or mnemonic in _WRITE_FIRST):
        return False
    register = _wide(target)
    return not (register in arguments or (register == "rsp" and (stack or mnemonic != "sub")))


def _keeps_result(mnemonic: str, operands: str) -> bool:
    target = operands.partition(",")[0].strip()
    known = mnemonic in _ONLY_READ | _WRITE_FIRST | _WRITE_ONE or mnemonic.startswith("mov")
    return known and ("[" in target or mnemonic in _ONLY_READ or _wide(target) != "rax")


def _returns(mnemonic: str) -> bool:
    return mnemonic.rpartition(" ")[2] == "ret"  # "repz ret" and "bnd ret" return too


def _wide(register: str) -> str:
    """Return the whole register of which this is a part: rdi for edi, r8 for r8d."""
    if register in _LEGACY:
        return _LEGACY[register]
    return re.sub(r"^(r\d+)[dwb]$", r"\1", register)
