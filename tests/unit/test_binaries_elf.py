"""Functions of C programs and libraries: where nm says they are, stripped or not."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from test_binaries_support import PROGRAM, compiled, folder, library, run, stripped, symbols

from otel_ebpf.kernel.binaries import Elf, Function

OPENSSL = ("SSL_read", "SSL_write", "SSL_read_ex")


def offsets(path: Path, *names: str) -> dict[str, int]:
    with Elf(path) as elf:
        return {name: function.offset for name, function in elf.functions(names).items()}


def expected(path: Path, addresses: dict[str, int], *names: str) -> dict[str, int]:
    """File offsets of these addresses, by readelf's program headers."""
    loads = [
        line.split()[1:6] for line in run("readelf", "-lW", path).splitlines() if line.split()[:1] == ["LOAD"]
    ]
    found = {}
    for name in names:
        for offset, address, _, size, _ in ([int(word, 16) for word in load[:4]] + [0] for load in loads):
            if address <= addresses[name] < address + size:
                found[name] = addresses[name] - address + offset
    return found


def test_a_library_has_its_exports_stripped_or_not():
    names = ("target_read", "my_target_read", "target_write")
    wanted = expected(library(), symbols(library(), "-D"), *names)
    assert len(wanted) == 3
    assert offsets(library(), *names) == wanted
    assert offsets(stripped(library()), *names) == wanted


def test_what_is_not_exported_is_in_the_full_table_only():
    wanted = expected(library(), symbols(library()), "inner_only")
    assert offsets(library(), "inner_only", "target_read").items() >= wanted.items()
    assert offsets(stripped(library()), "inner_only") == {}


def test_imports_variables_and_functions_chosen_at_run_time_are_not_found():
    assert offsets(library(), "imported", "variable_not_function", "late", "", "target\0read") == {}


def test_nothing_is_found_of_no_names_and_of_unknown_ones():
    assert offsets(library()) == {}
    assert offsets(library(), "target_rea", "arget_read", "read", "nothing") == {}


@pytest.mark.parametrize("option", ["-pie", "-no-pie"])
def test_a_program(option):
    program = compiled(f"program{option}", PROGRAM, option)
    wanted = expected(program, symbols(program), "used_here", "main")
    with Elf(program) as elf:
        assert {
            name: one.offset for name, one in elf.functions(["used_here", "main", "atoi"]).items()
        } == wanted
        assert elf.functions(["main"])["main"].size > 0
        assert not elf.is_go()
    assert offsets(stripped(program), "main") == {}


def test_of_a_function_in_two_versions_the_new_one_is_found():
    (folder() / "versions.map").write_text("ONE { global: work; local: *; };\nTWO { global: work; } ONE;\n")
    source = """
    __asm__(".symver old, work@ONE"); __asm__(".symver new, work@@TWO");
    int old(int a) { return a; } int new(int a) { return a + 1; }
    """
    path = compiled("versions.so", source, "-shared", "-fPIC", "-Wl,--version-script=versions.map")
    assert offsets(path, "work") == expected(path, {"work": symbols(path)["new"]}, "work")
    assert symbols(path)["old"] != symbols(path)["new"]


def test_a_name_that_is_the_tail_of_another_is_found():
    # The linker stores target_read as the end of my_target_read, and has no zero byte before it.
    assert b"\0target_read\0" not in stripped(library()).read_bytes()
    assert "target_read" in offsets(stripped(library()), "target_read")


def test_the_size_is_that_of_the_symbol():
    with Elf(library()) as elf:
        found = elf.functions(["target_read"])["target_read"]
    line = next(
        line.split() for line in run("nm", "-S", library()).splitlines() if line.endswith(" target_read")
    )
    assert found == Function(found.offset, int(line[1], 16))


@pytest.mark.parametrize("option", ["-pie", "-no-pie"])
def test_without_section_headers_nothing_is_found(option):
    data = bytearray(compiled(f"program{option}", PROGRAM, option).read_bytes())
    data[40:48] = bytes(8)
    data[60:64] = bytes(4)
    path = folder() / "no-sections"
    path.write_bytes(data)
    assert offsets(path, "main") == {}


def test_openssl_of_the_system():
    found = next(Path("/usr/lib").glob("*-linux-gnu/libssl.so.3"), None)
    if found is None:
        pytest.skip("no libssl.so.3 here")
    assert offsets(found, *OPENSSL) == expected(found, symbols(found, "-D"), *OPENSSL)


def test_node_and_soon():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    path = Path(node).resolve()
    exported = symbols(path, "-D")
    wanted = [name for name in OPENSSL if name in exported]
    with Elf(path) as elf:
        started = time.process_time()
        found = elf.functions((*OPENSSL, "no_such_function_anywhere"))
        assert time.process_time() - started < 1
        assert not elf.is_go()
    assert {name: one.offset for name, one in found.items()} == expected(path, exported, *wanted)


VARIABLES = """
int counted = 7; static int hidden = 8;
static __attribute__((noinline)) int target(void) { return counted + hidden++; }
int (*points_to)(void) = target; void *nowhere = 0;
int imported_call(void); int main(void) { return points_to(); }
"""


@pytest.mark.parametrize(
    "options", [("-shared", "-fPIC"), ("-rdynamic", "-pie"), ("-rdynamic", "-no-pie")], ids=" ".join
)
def test_exported_variables_and_what_they_point_to(options: tuple[str, ...]) -> None:
    path = compiled(f"variables{''.join(options)}", VARIABLES, *options)
    listed = (line.split() for line in run("nm", path).splitlines())
    addresses = {words[2]: int(words[0], 16) for words in listed if len(words) == 3}
    names = ["counted", "points_to", "nowhere"]
    with Elf(path) as elf:
        assert elf.variables([*names, "hidden", "main", "none"]) == {name: addresses[name] for name in names}
        assert elf.pointer(addresses["points_to"]) == addresses["target"]
        assert elf.pointer(addresses["nowhere"]) == 0
        assert elf.pointer(1 << 40) == 0
