"""Which programs are HAProxy, where in it the probe goes, and what its instructions say of its structs."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_binaries_support import compiled, stripped, symbols

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.runtimes import find
from otel_ebpf.kernel.runtimes.haproxy import PLACES

OF_2_6 = {  # Debian 12
    "sc_attach_mux": "4155 4989f5 4154 55 4889d5 53 4889fb 4883ec08 488b4728 4c8b6720 4885c0 740e 0fb600 3c09"
    "7449 3c0a 745d",
    "stream_new": "4157 488d0567aeffff 4989ff 4156 66480f6ed8 c603 09 4c897b18",
    "raw_sock_to_pipe": "4157 53 8b4704 f6c401 0f8404010000 4989d4 48635768 4c8b3553c40e00",
    "process_stream": "c3",
}
OF_3_0 = {  # Debian 13
    "sc_attach_mux": "f30f1efa 55 4889e5 4156 4989f6 4155 4154 4989d4 53 488b4730 4889fb 4c8b6f28 4885c0 740d"
    "0fb610 80fa09 7443 80fa0a 747e",
    "stream_new": "f30f1efa 55 4889e5 4157 4989fd 4154 c603 09 4c896b20",
    "raw_sock_to_pipe": "f30f1efa 55 4889e5 8b4704 f6c401 0f843f020000 4989d6 48635768 4c8b3d16801200",
    "process_stream": "f30f1efa c3",
}


def haproxy(name: str, functions: dict[str, str]) -> Path:
    """Make a program with these functions, as bytes in hex."""
    source = "int main(void) { return 0; }\n"
    for function, code in functions.items():
        listed = ",".join(f"0x{byte:02x}" for byte in bytes.fromhex(code))
        source += (
            f'asm(".text\\n.globl {function}\\n.type {function}, @function\\n{function}: .byte {listed}\\n'
        )
        source += f'.size {function}, .-{function}");\n'
    return stripped(compiled(name, source, "-rdynamic"))


@pytest.mark.parametrize(
    ("functions", "places"),
    [(OF_2_6, (0x28, 0x18, 0x68)), (OF_3_0, (0x30, 0x20, 0x68))],
    ids=["2.6", "3.0"],
)
def test_what_the_instructions_say(functions: dict[str, str], places: tuple[int, ...]) -> None:
    made = haproxy(f"haproxy_{places[0]}", functions)
    with Elf(made) as elf:
        runtime = find(elf)
    assert runtime is not None
    (point,) = runtime.points
    assert (runtime.name, runtime.kind) == ("haproxy", 3)
    assert point.program == "haproxy_attaches"
    assert 0 <= point.offset - symbols(made, "-D")["sc_attach_mux"] < 16  # at its entry, or soon behind
    assert PLACES.unpack(runtime.places) == places


def test_an_older_version() -> None:
    made = haproxy("haproxy_old", {name: code for name, code in OF_2_6.items() if name != "sc_attach_mux"})
    with Elf(made) as elf, pytest.raises(BinaryError, match="sc_attach_mux"):
        find(elf)
    assert "2.6 and newer" in look_into(str(made)).not_followed


@pytest.mark.parametrize("name", ["sc_attach_mux", "stream_new", "raw_sock_to_pipe"])
def test_instructions_that_say_nothing(name: str) -> None:
    made = haproxy(f"haproxy_{name}", OF_3_0 | {name: "90" * 64 + "c3"})
    with Elf(made) as elf, pytest.raises(BinaryError, match=name):
        find(elf)


def test_another_program() -> None:
    assert look_into(str(haproxy("no_haproxy", {"process_stream": "c3"}))).runtime is None
