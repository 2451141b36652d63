"""What of BPF a process holds, and what the kernel has of it."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from pathlib import Path


def held_by(pid: int, what: str) -> set[int]:
    """Return the ids of "prog", "map" or "link" that a process and its children hold open."""
    wanted = re.compile(rf"^{what}_id:\s+(\d+)$", re.MULTILINE)
    found = set()
    for holder in (pid, *children(pid)):
        for info in Path(f"/proc/{holder}/fdinfo").iterdir():
            with suppress(FileNotFoundError):  # closed since the folder was listed
                found |= {int(one) for one in wanted.findall(info.read_text())}
    return found


def children(pid: int) -> set[int]:
    """Return the processes that a process's threads have started."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def all_ids(what: str) -> set[int]:
    """Return the same of all that the kernel has."""
    shown = subprocess.run(["bpftool", "-j", what, "show"], capture_output=True, text=True, check=True)
    return {one["id"] for one in json.loads(shown.stdout)}
