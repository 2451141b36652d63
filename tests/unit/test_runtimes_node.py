"""Where Node.js is probed, in a program that a C compiler made of its few functions, and in the real one."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.runtimes import Runtime, node

PUSH = """
push %rbp
push %{kept}
mov %rdi, %{kept}
sub $0x18, %rsp
call *0x60(%{kept})
add $0x18, %rsp
pop %{kept}
pop %rbp
ret
"""
KIND_OF = "movslq 0x30(%rdi), %rax; mov names(,%rax,8), %rax; ret"
NAMES = ("NONE", "TCPWRAP", "TCPCONNECTWRAP", "HTTPINCOMINGMESSAGE", "PROMISE", "RANDOMBYTESREQUEST")
BUILTIN = "push %rbp; pop %rbp; ret $0x10; ret"


def functions(push: str, kind_of: str, builtins: bool) -> dict[str, str]:
    code = {node._PUSH[0]: push, node._RESET[0]: "ret", node._KIND_NAME: kind_of, node._MICROTASKS: "ret"}
    return code | (
        dict.fromkeys((*node._AWAITS, *node._RESUMES, *node._COLLECTS), BUILTIN) if builtins else {}
    )


def build(folder: Path, push: str = "", kind_of: str = KIND_OF, builtins: bool = True) -> Path:
    """Assemble the functions that are looked for, and the names of the kinds of objects."""
    lines = [".text"]
    for name, code in functions(push or PUSH.format(kept="r13"), kind_of, builtins).items():
        lines += [f".globl {name}", f".type {name}, @function", f"{name}:", code, f".size {name}, . - {name}"]
    lines += [".globl main", "main: ret", ".section .rodata", "names:"]
    lines += [f".quad name{number}" for number in range(len(NAMES))] + [".quad 0"]
    lines += [f'name{number}: .asciz "{name}"' for number, name in enumerate(NAMES)] + [".zero 64"]
    source, program = folder / "node.s", folder / "node"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run(["gcc", "-no-pie", "-o", program, source], check=True)
    return program


def find(program: Path) -> Runtime | None:
    with Elf(program) as elf:
        return node.find(elf)


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_SMALLEST", 0)


def programs(points: tuple[object, ...]) -> Counter[str]:
    return Counter(point.program for point in points)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kept", ["rbx", "r12", "r13", "r14", "r15"])
def test_what_is_probed_and_told(tmp_path: Path, kept: str) -> None:
    runtime = find(build(tmp_path, PUSH.format(kept=kept)))
    assert runtime is not None
    assert programs(runtime.points) == {
        "node_pushed": 1,
        "node_reset": 1,
        "node_leaves": 1,
        "node_collected": 2,
    }
    assert programs(runtime.own_points) == {"node_awaits": 2, "node_resumes": 2, "node_leaves": 4}
    register, kind, low, high = node.PLACES.unpack(runtime.places)
    assert (("rbx", "r12", "r13", "r14", "r15")[register], kind) == (kept, 0x30)
    assert [NAMES[number] for number in range(len(NAMES)) if low >> number & 1] == [
        "TCPCONNECTWRAP",
        "HTTPINCOMINGMESSAGE",
        "RANDOMBYTESREQUEST",
    ]
    assert high == 0


def test_a_scope_is_probed_where_its_stack_is_given_back(tmp_path: Path) -> None:
    program = build(tmp_path)
    runtime = find(program)
    assert runtime is not None
    (pushed,) = (point for point in runtime.points if point.program == "node_pushed")
    code = program.read_bytes()[pushed.offset :]
    assert code.startswith(bytes.fromhex("4883c418"))  # add $0x18, %rsp


def test_without_the_builtins_async_functions_are_left_out(tmp_path: Path) -> None:
    runtime = find(build(tmp_path, builtins=False))
    assert runtime is not None
    assert runtime.own_points == ()
    assert "node_collected" not in programs(runtime.points)


@pytest.mark.parametrize(
    "code",
    [
        {"push": PUSH.format(kept="r13").replace("mov %rdi, %r13", "mov %rsi, %r13")},
        {"push": PUSH.format(kept="r13").replace("call", "mov %rax, %r13; call")},
        {"push": PUSH.format(kept="r13").replace("add $0x18, %rsp", "lea 0x18(%rsp), %rsp")},
        {"push": PUSH.format(kept="r13") + "ret"},
        {"kind_of": "movslq 0x30(%rdi), %rax; ret"},
        {"kind_of": KIND_OF.replace("names", "names + 100000000")},
    ],
    ids=["no object", "written", "no stack", "two ends", "no names", "names elsewhere"],
)
def test_what_is_laid_out_otherwise_is_refused(tmp_path: Path, code: dict[str, str]) -> None:
    with pytest.raises(BinaryError, match=r"Node\.js"):
        find(build(tmp_path, **code))  # type: ignore[arg-type]


def test_other_programs_are_none() -> None:
    assert find(Path(shutil.which("ls") or "/bin/ls")) is None


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js here")
def test_the_real_one() -> None:
    runtime = find(Path(shutil.which("node") or "").resolve())
    assert runtime is not None
    assert programs(runtime.points)["node_pushed"] == 1
