"""The kernel's own statistics of BPF programs: how often each ran, and for how long."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SYSCTL = Path("/proc/sys/kernel/bpf_stats_enabled")
_FIELD = re.compile(r"^(prog_id|run_time_ns|run_cnt):\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Runs:
    """What a program has used so far."""

    count: int
    nanoseconds: int


@contextmanager
def statistics_on() -> Iterator[None]:
    """Have the kernel time BPF programs (two clock reads a run), and leave the setting as it was."""
    before = _SYSCTL.read_text()
    _SYSCTL.write_text("1")
    try:
        yield
    finally:
        _SYSCTL.write_text(before)


def runs_of(pid: int) -> dict[int, Runs]:
    """Return the statistics of every program that a process holds, by program id (bpf_prog_show_fdinfo)."""
    found: dict[int, Runs] = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            fields = dict(_FIELD.findall(info.read_text()))
        except FileNotFoundError:  # closed meanwhile
            continue
        if "run_cnt" in fields:
            found[int(fields["prog_id"])] = Runs(int(fields["run_cnt"]), int(fields["run_time_ns"]))
    return found


def names_of(programs: Mapping[int, object]) -> dict[int, str]:
    """Return the names of programs by id, as bpftool finds them in their BTF."""
    names = {}
    for program in programs:
        command = ["bpftool", "-j", "prog", "show", "id", str(program)]
        shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        names[program] = str(shown["name"])
    return names


def used(before: Mapping[int, Runs], after: Mapping[int, Runs]) -> dict[int, Runs]:
    """Return what was used between two readings, of the programs that ran."""
    zero = Runs(0, 0)
    spent = {
        program: Runs(
            now.count - before.get(program, zero).count,
            now.nanoseconds - before.get(program, zero).nanoseconds,
        )
        for program, now in after.items()
    }
    return {program: runs for program, runs in spent.items() if runs.count}


def by_name(spent: Mapping[int, Runs]) -> dict[str, Runs]:
    """Return the same by the programs' names, those of one name together."""
    names, found = names_of(spent), dict[str, Runs]()
    for program, one in spent.items():
        before = found.get(names[program], Runs(0, 0))
        found[names[program]] = Runs(before.count + one.count, before.nanoseconds + one.nanoseconds)
    return found
