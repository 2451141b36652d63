"""Write the ledger's declarations for C and Python from bpf/ledger.toml.

`python tools/generate_ledger.py` writes; `--check` exits 1 when a file is not up to date.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "bpf" / "ledger.toml"
HEADER = ROOT / "bpf" / "include" / "ledger.h"
MODULE = ROOT / "otel_ebpf" / "kernel" / "ledger_entries.py"


_MODULE = '''\
"""Generated from bpf/ledger.toml by tools/generate_ledger.py. Do not edit."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Entry(IntEnum):
    """Index of a counter; those of the kernel stage index its per-CPU array too."""

{numbers}


KERNEL_ENTRIES = {kernel}


class Description(NamedTuple):
    """What a counter means: the attributes it is exported with, and one sentence."""

    stage: str
    unit: str
    outcome: str
    reason: str
    help: str


# fmt: off
DESCRIPTIONS: tuple[Description, ...] = (
{descriptions}
)
# fmt: on
'''


def c_header(entries: list[dict[str, Any]]) -> str:
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Generated from bpf/ledger.toml by tools/generate_ledger.py. Do not edit. */",
        "#ifndef OTEL_EBPF_LEDGER_H",
        "#define OTEL_EBPF_LEDGER_H",
        "",
        "enum ledger_entry {",
    ]
    kernel = [entry for entry in entries if entry["stage"] == "kernel"]
    lines += [f"\tLEDGER_{entry['name'].upper()} = {number}," for number, entry in enumerate(kernel)]
    lines += [f"\tLEDGER_SIZE = {len(kernel)},", "};", "", "#endif", ""]
    return "\n".join(lines)


def python_module(entries: list[dict[str, Any]]) -> str:
    numbers = [f"    {entry['name'].upper()} = {number}" for number, entry in enumerate(entries)]
    kernel = sum(entry["stage"] == "kernel" for entry in entries)
    descriptions = []
    for entry in entries:
        attributes = (entry["stage"], entry["unit"], entry["outcome"], entry.get("reason", ""))
        quoted = ", ".join(f'"{field}"' for field in attributes)
        descriptions += [f"    Description({quoted},", f'        "{entry["help"]}"),']
    return _MODULE.format(numbers="\n".join(numbers), kernel=kernel, descriptions="\n".join(descriptions))


def main() -> int:
    entries = tomllib.loads(SOURCE.read_text())["entry"]
    entries.sort(key=lambda entry: entry["stage"] != "kernel")  # stable: the kernel's come first
    stale = 0
    for path, text in ((HEADER, c_header(entries)), (MODULE, python_module(entries))):
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(
                f"{path.relative_to(ROOT)} is not up to date: run tools/generate_ledger.py", file=sys.stderr
            )
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
