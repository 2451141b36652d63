"""Node.js: async ids, and the generators of async functions.

Node numbers what it does, and keeps in memory which number runs. Probes where it begins to run one, and
where its objects get theirs, tell who works for whom; V8's builtins tell of async functions, which run
without a number.

Source: src/env.cc, src/async_wrap.cc and deps/v8 of Node.js 20 and 22.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf, Function
from otel_ebpf.kernel.binaries.disassembly import disassembled
from otel_ebpf.kernel.binaries.stepping import is_emulated, jumps_to
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "PLACES", "find"]

NAME: Final = "node"
_OWN_NAME: Final = "node_async"
PLACES: Final = Struct("<IIQQ")  # struct node_places
_KIND: Final = 4  # RUNTIME_NODE
_SMALLEST: Final = 32 << 20
"""Node holds all of V8. Programs without are told by their size: to search all their names would be dear."""
_PUSH: Final = (
    "_ZN4node10AsyncHooks18push_async_contextEddN2v85LocalINS1_6ObjectEEE",
    "_ZN4node10AsyncHooks18push_async_contextEddPN2v85LocalINS1_6ObjectEEE",
)
_RESET: Final = (
    "_ZN4node9AsyncWrap10AsyncResetEN2v85LocalINS1_6ObjectEEEdb",
    "_ZN4node9AsyncWrap10AsyncResetEN2v85LocalINS1_6ObjectEEEd",
)
_KIND_NAME: Final = "_ZNK4node9AsyncWrap14MemoryInfoNameEv"
_MICROTASKS: Final = "_ZN2v88internal14MicrotaskQueue13RunMicrotasksEPNS0_7IsolateE"
_AWAITS: Final = ("Builtins_AsyncFunctionAwaitCaught", "Builtins_AsyncFunctionAwaitUncaught")
_RESUMES: Final = (
    "Builtins_AsyncFunctionAwaitResolveClosure",
    "Builtins_AsyncFunctionAwaitRejectClosure",
)
_COLLECTS: Final = {
    "_ZN2v88internal18ScavengerCollector14CollectGarbageEv": True,
    "_ZN2v88internal20MarkCompactCollector27ReleaseEvacuationCandidatesEv": False,
}
"""All has moved when the first returns, and when the second begins: it unmaps where that was."""
_STORES_ID: Final = re.compile(r"mov\w+ \w+ ptr \[(?!rbp|rsp).*\], xmm\d+")
_ALL: Final = (*_PUSH, *_RESET, _KIND_NAME, _MICROTASKS, *_AWAITS, *_RESUMES, *_COLLECTS)

_CARRIERS: Final = re.compile(
    rb"HTTPINCOMINGMESSAGE|HTTPCLIENTREQUEST|(TCP|PIPE)CONNECTWRAP|GET(ADDR|NAME)INFOREQWRAP|QUERYWRAP|"
    rb"FSREQ(CALLBACK|PROMISE)|FILEHANDLECLOSEREQ|WRITEWRAP|SHUTDOWNWRAP|UDPSENDWRAP|ZLIB|[A-Z0-9]+REQUEST"
)
"""Kinds of objects that are made, or made new, for one piece of work. Sockets are not: they are shared."""
_MOST_KINDS: Final = 128
_LONGEST_KIND: Final = 40
_KIND_OF: Final = re.compile(rb"\x48\x63\x47(.)\x48\x8b\x04\xc5(....)\xc3", re.DOTALL)
"""movslq KIND(%rdi),%rax; mov NAMES(,%rax,8),%rax; ret"""
_KEPT: Final = ("rbx", "r12", "r13", "r14", "r15")  # enum kept_register
_WORD: Final = Struct("<Q")


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through Node.js; None for other programs.

    Raises `BinaryError` for one that cannot be followed.
    """
    if elf.image.size < _SMALLEST:
        return None
    functions = elf.functions(_ALL)
    push, reset = _first(functions, _PUSH), _first(functions, _RESET)
    if push is None:
        return None
    if elf.machine != "x86_64":
        raise BinaryError(f"Node.js on {elf.machine} is not followed: only that on x86-64 is")
    if reset is None or not {_KIND_NAME, _MICROTASKS} <= functions.keys():
        raise BinaryError("Node.js without the functions of versions 20 and 22")
    leaving, register = _end_of_push(elf, push)
    points = [
        Point("node_pushed", leaving),
        Point("node_reset", elf.probed_entry(reset)),
        Point("node_leaves", elf.probed_entry(functions[_MICROTASKS])),
    ]
    own = _async_functions(elf, functions)
    if own:
        points += [Point("node_collected", functions[name].offset, end) for name, end in _COLLECTS.items()]
    kind, carriers = _kinds(elf, functions[_KIND_NAME])
    return Runtime(NAME, _KIND, tuple(points), PLACES.pack(register, kind, *carriers), own, _OWN_NAME)


def _first(functions: Mapping[str, Function], names: tuple[str, ...]) -> Function | None:
    return next((functions[name] for name in names if name in functions), None)


def _async_functions(elf: Elf, functions: Mapping[str, Function]) -> tuple[Point, ...]:
    """Return the probes for async functions; none where the builtins have no symbols (it is stripped)."""
    if not {*_AWAITS, *_RESUMES, *_COLLECTS} <= functions.keys():
        return ()
    points = [Point("node_awaits", functions[name].offset) for name in _AWAITS]
    for name in _RESUMES:
        points.append(Point("node_resumes", functions[name].offset))
        points += [Point("node_leaves", offset) for offset in elf.returns(functions[name])]
    return tuple(points)


def _end_of_push(elf: Elf, push: Function) -> tuple[int, int]:
    """Return where the function has written the ids, and which register has its object there.

    That is where it looks whether it was given a resource, if it does so last, by a branch, at which probes
    cost least; else where it gives back its stack.
    """
    code = elf.image.read(push.offset, push.size)
    lines = [(at, f"{name} {operands}") for at, _, name, operands in disassembled(code)]
    saved = next((line for _, line in lines if re.fullmatch(r"mov r\w+, rdi", line)), "")
    register = saved.removeprefix("mov ").partition(",")[0]
    ends = [number for number, (_, line) in enumerate(lines) if line.startswith("ret")]
    written = [line for _, line in lines if re.match(rf"(?!pop|push|cmp|test)\w+ {register}(,|$)", line)]
    if register not in _KEPT or len(ends) != 1 or written != [saved]:
        raise BinaryError("Node.js keeps its async hooks elsewhere than versions 20 and 22")
    end = ends[0]
    while lines[end - 1][1].startswith("pop "):
        end -= 1
    at, line = lines[end - 1]
    if not line.startswith("add rsp"):
        raise BinaryError("Node.js ends a function otherwise than versions 20 and 22")
    at = _resource_branch(code, lines) or at
    return push.offset + at, _KEPT.index(register)


def _resource_branch(code: bytes, lines: Sequence[tuple[int, str]]) -> int:
    """Return the offset of the branch for a resource, the second argument, right behind the ids; 0: none."""
    saved = next((found[1] for _, line in lines if (found := re.fullmatch(r"mov (r\w+), rsi", line))), "")
    for (_, store), (at, look), (branch, _) in zip(lines, lines[1:], lines[2:], strict=False):
        if _STORES_ID.fullmatch(store) and look == f"test {saved}, {saved}":
            entered = any(at <= target <= branch for target in jumps_to(code))
            return branch if is_emulated(code[branch:]) and not entered else 0
    return 0


def _kinds(elf: Elf, name_of: Function) -> tuple[int, tuple[int, int]]:
    """Return where an object's kind stands in it, and the bit set of the kinds in `_CARRIERS`."""
    code = _KIND_OF.match(elf.image.read(name_of.offset, 16))
    if code is None:
        raise BinaryError("Node.js numbers its objects otherwise than versions 20 and 22")
    table, bits = int.from_bytes(code[2], "little"), 0
    for number in range(_MOST_KINDS):
        text = _text(elf, table + number * _WORD.size)
        if not text:
            break
        if _CARRIERS.fullmatch(text):
            bits |= 1 << number
    if not bits:
        raise BinaryError("Node.js names its objects otherwise than versions 20 and 22")
    return code[1][0], (bits & ((1 << 64) - 1), bits >> 64)


def _text(elf: Elf, pointer: int) -> bytes:
    """Return the name to which the word at an address points, empty where that is none."""
    place = elf.file_offset(pointer)
    if place is None:
        return b""
    place = elf.file_offset(_WORD.unpack(elf.image.read(place, _WORD.size))[0])
    if place is None or place + _LONGEST_KIND > elf.image.size:
        return b""
    match = re.match(rb"[A-Z0-9_]+(?=\0)", elf.image.read(place, _LONGEST_KIND))
    return match[0] if match else b""
