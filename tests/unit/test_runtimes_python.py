"""CPython in a file: its probes, and where it keeps what is read of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from test_binaries_support import compiled, run, stripped, symbols

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.mappings import executable_mappings
from otel_ebpf.kernel.runtimes import Runtime, may_hold_runtime
from otel_ebpf.kernel.runtimes.python import PLACES, find
from tests.interpreters import interpreters

SOURCE = """
long _PyRuntime[100];
static __attribute__((noinline)) void free_it(void *context) { _PyRuntime[1] = (long)context; }
struct { long head[6]; void (*free)(void *); } PyContext_Type = { .free = free_it };
__attribute__((noinline)) void *other(void *type) { return ((void *(*)(void))_PyRuntime[2])(); }
void *PyContext_CopyCurrent(void) { return TAIL }
const char *names(void) { return TAG; }
"""
RETURNS = "_PyRuntime[0] ? &PyContext_Type : (void *)0;"
LEAVES = "other(&PyContext_Type);"

WALK = """
import contextvars, ctypes, sys, threading
interpreter, context_type, threads, thread_id, context, linked = map(int, sys.argv[1:])
word = lambda address: ctypes.c_uint64.from_address(address).value
moved = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "PyContext_Type")) - context_type
def current():
    state = word(word(moved + interpreter) + threads)
    while word(state + thread_id) != threading.get_ident():
        state = word(state + 8)
    return word(state + context)
def check():
    assert current() == id(made)
    assert word(current() + 8) == moved + context_type
made = contextvars.copy_context()
made.run(check)
other = threading.Thread(target=made.run, args=(check,))
other.start(), other.join()
print("right")
"""


def built(tag: str = ".cpython-311-x86_64-linux-gnu.so", tail: str = RETURNS, *options: str) -> Path:
    name = "".join(filter(str.isalnum, f"{tag}{tail}{options}")) + ".so"
    source = SOURCE.replace("TAIL", tail).replace("TAG", f'"{tag}"')
    return compiled(name, source, *(options or ("-shared", "-fPIC")), "-O2")


def found(path: str | Path) -> Runtime | None:
    with Elf(path) as elf:
        return find(elf)


def test_the_probes_of_a_library_stripped_or_not() -> None:
    runtime = found(stripped(built()))
    assert runtime is not None
    assert runtime == found(built())
    assert {point.program for point in runtime.points} == {"python_made", "python_gone"}
    (gone,) = (point for point in runtime.points if point.program == "python_gone")
    with Elf(built()) as elf:
        assert elf.address(gone.offset) == symbols(built())["free_it"]
        assert PLACES.unpack(runtime.places) == (
            elf.variables(["_PyRuntime"])["_PyRuntime"] + 48,
            elf.variables(["PyContext_Type"])["PyContext_Type"],
            *(16, 152, 224),
        )


@pytest.mark.parametrize("options", [["-rdynamic", "-no-pie"], ["-rdynamic", "-pie"]], ids=" ".join)
def test_a_program_that_is_the_interpreter(options: list[str]) -> None:
    """What points to a function stands in the variable itself, or in the loader's table."""
    path = built(".cpython-312-x86_64-linux-gnu.so", RETURNS + "} int main(void) { return 0;", *options)
    runtime = found(path)
    assert runtime is not None
    assert PLACES.unpack(runtime.places)[2:] == (72, 136, 208)
    with Elf(path) as elf:
        offsets = {elf.address(point.offset) for point in runtime.points if point.program == "python_gone"}
    assert offsets == {symbols(path)["free_it"]}


def test_a_function_that_ends_in_another_is_probed_at_its_return() -> None:
    runtime = found(built(tail=LEAVES))
    assert runtime is not None
    made = [point for point in runtime.points if point.program == "python_made"]
    assert [point.at_return for point in made] == [True]
    assert not any(point.at_return for point in found(built()).points)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (".cpython-38-x86_64-linux-gnu.so", "3.8 is not followed"),
        (".cpython-314-x86_64-linux-gnu.so", "3.14 is not followed"),
        (".cpython-313t-x86_64-linux-gnu.so", "another layout"),
        (".cpython-311d-x86_64-linux-gnu.so", "another layout"),
        (".cpython-3", "another layout"),
        ("nothing", "not known"),
    ],
)
def test_versions_that_are_not_known(tag: str, reason: str) -> None:
    with pytest.raises(BinaryError, match=reason):
        found(built(tag))


def test_what_is_no_interpreter() -> None:
    assert found(compiled("nothing.so", "int here;", "-shared", "-fPIC")) is None


def test_an_interpreter_without_what_is_probed() -> None:
    source = 'long _PyRuntime[9]; const char *names(void) { return ".cpython-311-x86_64-linux-gnu.so"; }'
    with pytest.raises(BinaryError, match="PyContext_Type"):
        found(compiled("bare.so", source, "-shared", "-fPIC"))


@pytest.mark.parametrize("name", interpreters())
def test_what_is_read_of_a_real_interpreter(name: str) -> None:
    """By walking through its own memory, from another thread too."""
    asleep = subprocess.Popen(
        [interpreters()[name], "-c", "print(1, flush=True); input()"], stdin=-1, stdout=-1
    )
    try:
        assert asleep.stdout is not None
        asleep.stdout.readline()
        runtimes = [found(mapping.path) for mapping in executable_mappings(asleep.pid)]
    finally:
        asleep.communicate(b"\n")
    (runtime,) = filter(None, runtimes)
    words = [str(word) for word in (*PLACES.unpack(runtime.places), runtime.code_address)]
    assert run(interpreters()[name], "-c", WALK, *words) == "right\n"


@pytest.mark.parametrize(
    ("path", "whether"),
    [
        ("/usr/lib/libpython3.12.so.1.0", True),
        ("/lib/python3.11/lib-dynload/_asyncio.cpython-311-x86_64-linux-gnu.so", False),
    ],
)
def test_libraries_that_are_worth_a_look(path: str, whether: bool) -> None:
    assert may_hold_runtime(path) is whether
