"""Go programs by old and new compilers, with symbols and without."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.harness.build import PROGRAMS, _run, cache, folder

__all__ = ["LOCAL", "NEWEST", "OLDEST", "PREVIOUS", "Build", "build"]

LOCAL = "local"
"""The Go that is on this machine."""

NEWEST, PREVIOUS = "go1.27.4", "go1.26.11"

OLDEST = "go1.18.10"
"""Of the first series that is supported: older ones have other tables (otel_ebpf/kernel/binaries)."""

_LINKS = {
    "": ([], "0"),
    # The address of the first function is then behind a relocation.
    "pie": (["-buildmode=pie"], "0"),
    # The C compiler's start-up code comes first in .text, before the first Go function.
    "external": (["-ldflags=-linkmode=external"], "1"),
}


@dataclass(frozen=True)
class Build:
    """One way to build a program. `link` is "", "pie" or "external" (by the C compiler)."""

    version: str
    stripped: bool
    link: str = ""

    def __str__(self) -> str:
        return "-".join([self.version, *([self.link] if self.link else []), *["stripped"] * self.stripped])


@functools.cache
def build(source: Path, how: Build) -> Path:
    """Build the module in a folder; return the executable, which is named as the folder.

    Versions other than LOCAL are fetched by the go command, which must be 1.21 or newer for that, at
    their first use.
    """
    words, cgo = _LINKS[how.link]
    if how.stripped:
        words = [*words, "-ldflags=-s -w" + (" -linkmode=external" if how.link == "external" else "")]
    target = folder() / f"go-{how}"
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": how.version, "GOCACHE": str(cache("go-build"))}
    environment["CGO_ENABLED"] = cgo
    if how.version != LOCAL and _version(environment) != how.version:
        pytest.skip(f"the go command here does not fetch {how.version}: too old, told not to, or offline")
    _run("go", "build", *words, "-o", target / source.name, ".", directory=source, environment=environment)
    return target / source.name


def _version(environment: Mapping[str, str]) -> str:
    command, merged = ["go", "env", "GOVERSION"], {**os.environ, **environment}
    done = subprocess.run(command, env=merged, capture_output=True, text=True, check=False, cwd=PROGRAMS)
    return done.stdout.strip()
