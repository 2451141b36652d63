"""Where a library calls functions of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from test_binaries_support import compiled, stripped

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.binaries.imports import stubs

CALLS = """
#include <sys/socket.h>
__attribute__((visibility("default"))) int asks(int one, struct sockaddr *where, socklen_t *size)
{
    return getpeername(one, where, size) + getsockname(one, where, size);
}
"""
NAMES = ("getpeername", "getsockname", "getsockopt")


def _jumps(path: Path) -> dict[str, int]:
    """Return the addresses of the stubs' first instructions that are no marks, by objdump."""
    text = subprocess.run(
        ["objdump", "-d", "-j", ".plt", "-j", ".plt.sec", "-j", ".plt.got", path],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found: dict[str, int] = {}
    name = ""
    for line in text.splitlines():
        if line.endswith("@plt>:"):
            name = line.partition("<")[2].partition("@")[0]
        elif name and "jmp" in line and "#" in line:
            found.setdefault(name, int(line.partition(":")[0], 16))
    return found


@pytest.mark.parametrize(
    "options",
    [("-Wl,-z,lazy",), ("-Wl,-z,now",), ("-fcf-protection=full", "-Wl,-z,ibtplt"), ("-Wl,-z,now", "-O2")],
    ids=["lazy", "now", "marked", "optimised"],
)
def test_each_function_that_is_called_has_a_stub(options: tuple[str, ...]) -> None:
    name = "imports" + "".join(one.strip("-W").replace(",", "_") for one in options)
    made = compiled(name, CALLS, "-shared", "-fPIC", *options)
    jumps = _jumps(made)
    with Elf(stripped(made)) as elf:
        found = {name: elf.address(place) for name, place in stubs(elf, NAMES).items()}
        assert found == {name: jumps[name] for name in NAMES[:2]}


def test_code_that_has_none() -> None:
    made = compiled("imports_without", CALLS, "-shared", "-fPIC", "-fno-plt", "-O1")
    with Elf(made) as elf:
        assert stubs(elf, NAMES) == {}


def test_relocations_that_lie(tmp_path: Path) -> None:
    made = compiled("imports_lying", CALLS, "-shared", "-fPIC")
    lying = tmp_path / "lying"
    data = bytearray(made.read_bytes())
    with Elf(made) as elf:
        table = elf.section(b".rela.plt")
        assert table is not None
        data[table.offset + 12 : table.offset + 16] = b"\xff\xff\xff\x7f"
    lying.write_bytes(data)
    with Elf(lying) as elf, pytest.raises(BinaryError, match="not there"):
        stubs(elf, NAMES)
