"""The benchmarks' own C programs, compiled where they run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers import PROGRAMS


@contextmanager
def compiled(name: str) -> Iterator[Path]:
    """Compile programs/`name`.c; the executable is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        target = Path(folder) / name
        options = ["-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]
        subprocess.run(["gcc", *options, "-o", target, PROGRAMS / f"{name}.c"], check=True)
        yield target
