"""Take out the ledger's increments, one at a time, and run the tests that provoke them: each must fail.

    .venv/bin/python -m tools.mutate_ledger [ENTRY...]

An increment is a place in the code that names its entry (tests/ledger.toml has the tests of each). In
a copy of the checkout the name is replaced by the number of no entry, so that what is counted there is
in no column. What came of it goes to tests/ledger_mutants.json and, by tools/generate_ledger.py, to
docs/ledger.md. Needs root, as the tests do; all of them take about half an hour.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tests" / "ledger_mutants.json"
CAUGHT, MISSED, ELSEWHERE = "caught", "MISSED", "only in a guest"

_OBJECTS = (
    *("control", "process", "tcp_state", "tcp_reset", "tcp_sweep"),
    *("tcp_socket_trace", "tcp_syscall", "tls_library"),
    *("resolver", "dns_socket_trace", "udp_socket_trace", "udp_close", "accept"),
)
_GUEST_ONLY = ("iterator_io.h", "tcp_kprobe.bpf.c", "tcp_trampoline.bpf.c")
# A column that is in no total, for what is counted under the number of no entry.
_NOWHERE = "-1"
_SCRATCH = (
    ("self.counts: list[int] = [0] * SIZE", "self.counts: list[int] = [0] * (SIZE + 1)"),
    ("zip(*(shard.counts for", "zip(*(shard.counts[:SIZE] for"),
)


@dataclass(frozen=True)
class Place:
    """The `number`th place of a file (below the root) that names an entry by `pattern`."""

    file: str
    pattern: str
    number: int
    replacement: str

    @property
    def name(self) -> str:
        return f"{self.file} #{self.number}"

    def mutate(self, text: str) -> str:
        found = list(re.finditer(self.pattern, text))[self.number - 1]
        return text[: found.start()] + self.replacement + text[found.end() :]


def _spellings(entry: str) -> Iterator[tuple[str, str, str]]:
    """Yield (files, pattern, replacement): how an entry is named where it is counted."""
    yield "bpf/core/*.h", rf"\bLEDGER_{entry.upper()}\b", "LEDGER_SIZE"
    yield "bpf/probes/*.c", rf"\bLEDGER_{entry.upper()}\b", "LEDGER_SIZE"
    if not entry.startswith("export_"):
        yield "otel_ebpf/**/*.py", rf"totals\[Entry\.{entry.upper()}\]", "_"
        yield "otel_ebpf/**/*.py", rf"(?<!totals\[)\bEntry\.{entry.upper()}\b", _NOWHERE
        return
    books, column = "SPANS", entry.removeprefix("export_")
    if column.startswith("points_"):
        books, column = "POINTS", column.removeprefix("points_")
    yield "otel_ebpf/export/*.py", rf"\b(?:{books}|books|self\._books)\.{column}\b", _NOWHERE


def places(root: Path, entry: str) -> list[Place]:
    """Return every place of a checkout that counts an entry."""
    found = []
    for files, pattern, replacement in _spellings(entry):
        for path in sorted(root.glob(files)):
            for number, _ in enumerate(re.finditer(pattern, path.read_text()), 1):
                found.append(Place(str(path.relative_to(root)), pattern, number, replacement))
    return found


class Copy:
    """A checkout of its own, in which one place at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = ["git", "ls-files", "-co", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        ledger = folder / "otel_ebpf" / "kernel" / "ledger.py"
        text = ledger.read_text()
        for plain, scratch in _SCRATCH:
            assert plain in text, plain
            text = text.replace(plain, scratch)
        ledger.write_text(text)
        self.build()

    def build(self) -> None:
        objects = [f"../otel_ebpf/kernel/objects/{platform.machine()}/{name}.bpf.o" for name in _OBJECTS]
        subprocess.run(["make", "-s", "-j2", "-C", "bpf", *objects], cwd=self.folder, check=True)

    def passes(self, tests: list[str], rungs: str) -> bool:
        """Run the tests here; any way of ending but passing and failing is an error."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "OTEL_EBPF_TEST_RUNGS": rungs}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{tests}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.returncode == 0

    def survives(self, place: Place, tests: list[str]) -> bool:
        """Say whether the tests pass with a place taken out."""
        path = self.folder / place.file
        text = path.read_text()
        path.write_text(place.mutate(text))
        try:
            self.build()
            return self.passes(tests, "syscall" if "tcp_syscall" in place.file else "socket_trace")
        finally:
            path.write_text(text)


def _outcomes(copy: Copy, entry: str, tests: list[str]) -> Iterator[tuple[str, str]]:
    """Take out each increment of an entry; yield its place and what the tests said."""
    for place in places(copy.folder, entry):
        if place.file.endswith(_GUEST_ONLY):
            yield place.name, ELSEWHERE
        else:
            yield place.name, MISSED if copy.survives(place, tests) else CAUGHT


def main() -> int:
    declared: dict[str, list[str]] = tomllib.loads((ROOT / "tests" / "ledger.toml").read_text())["tests"]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    chosen = sys.argv[1:] or list(declared)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        if not copy.passes(sorted({test for entry in chosen for test in declared[entry]}), "socket_trace"):
            sys.exit("the tests fail as they are")
        for entry in chosen:
            results[entry] = {}
            for place, outcome in _outcomes(copy, entry, declared[entry]):
                results[entry][place] = outcome
                print(f"{outcome:<8} {entry} {place}", flush=True)
            ordered = {name: results[name] for name in declared if name in results}
            RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    return int(any(MISSED in results[entry].values() for entry in chosen))


if __name__ == "__main__":
    sys.exit(main())
