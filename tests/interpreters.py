"""Interpreters of CPython on this machine, of the versions through which requests are followed."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from functools import cache

__all__ = ["interpreters"]

_PLACES = ("/usr/bin/python3.*", "/usr/local/bin/python3.*", "~/.pyenv/versions/3.*/bin/python3.*")
_VERSIONS = range(9, 14)
_ASKED = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.base_prefix)"


@cache
def interpreters() -> dict[str, str]:
    """Return the paths of one interpreter of each build, by its name; the one that runs this is the first."""
    found = {f"this-3.{sys.version_info[1]}": sys.executable}
    seen = {_about(sys.executable)}
    for place in _PLACES:
        for path in sorted(glob.glob(os.path.expanduser(place))):
            about = _about(path) if path.rpartition(".")[2].isdigit() else ""
            name, _, minor, patch, prefix = (about + " " * 4).split(" ")[:5]
            if name == "cpython" and int(minor) in _VERSIONS and about not in seen:
                seen.add(about)
                found[f"3.{minor}.{patch}{prefix.replace('/', '-')}"] = path
    return found


def _about(path: str) -> str:
    done = subprocess.run([path, "-c", _ASKED], capture_output=True, text=True, check=False)
    return done.stdout.strip()
