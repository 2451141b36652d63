"""Build the BPF objects before a wheel (or an editable install) is put together.

The wheel stays `py3-none-any`: BPF objects are data to Python, and those of every architecture are in it.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BpfBuildHook(BuildHookInterface[Any]):
    """Runs `make -C bpf`; a failure of the compiler is a failure of the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the objects into otel_ebpf/kernel/objects, where the package's data is taken from."""
        try:
            command = ["make", f"--jobs={os.cpu_count() or 1}", "-C", "bpf"]
            subprocess.run(command, cwd=self.root, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"the BPF objects could not be built ({error}); "
                "install make, clang-19, llvm-19 and libbpf-dev, or run `make setup`"
            ) from error
