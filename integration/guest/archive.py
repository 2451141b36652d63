"""Packages of other Debian releases, fetched from Debian's archive into a cache.

apt does the fetching, with lists, sources and a package database of its own: its signatures are verified
against the Debian archive keyring, and the host's packages and lists are neither read nor changed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class ArchiveError(RuntimeError):
    """A package could not be had; the message says which command failed and what it said."""


class Suite:
    """A release's packages, by lists that are read anew into `scratch`."""

    def __init__(self, name: str, scratch: Path) -> None:
        for folder in ("lists/partial", "archives/partial"):
            (scratch / folder).mkdir(parents=True)
        (scratch / "status").touch()
        (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive()} {name} main\n")
        options = [
            f"Dir::Etc::sourcelist={scratch}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::lists={scratch}/lists",
            f"Dir::State::status={scratch}/status",
            f"Dir::Cache::archives={scratch}/archives",
            "Dir::Cache::pkgcache=",
            "Dir::Cache::srcpkgcache=",
            "Acquire::AllowInsecureRepositories=false",
            "Acquire::Languages=none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "APT::Sandbox::User=root",  # the cache may lie where apt's own user cannot write
            "APT::Architecture=amd64",
        ]
        self._scratch = scratch
        self._arguments = [argument for option in options for argument in ("-o", option)]
        run("apt-get", *self._arguments, "--error-on=any", "update")

    def dependencies(self, package: str) -> list[str]:
        """Return the words that apt prints of what a package depends on."""
        return run("apt-cache", *self._arguments, "depends", package).split()

    def unpack(self, into: Path, *packages: str) -> None:
        """Download packages, and nothing that they depend on, and unpack them; no script of theirs is run."""
        run("apt-get", *self._arguments, "download", *packages, cwd=self._scratch)
        for package in sorted(self._scratch.glob("*.deb")):
            run("dpkg-deb", "--extract", str(package), str(into))
            package.unlink()


def cached(target: Path, make: Callable[[Path, Path], None]) -> Path:
    """Return `target`, made first if it is not there: whole or not at all.

    `make` is given a folder for what it needs meanwhile, and where the result is to stand.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir(mode=0o755)
            make(Path(scratch), made)
            made.rename(target)
    return target


def cache_folder() -> Path:
    """Return where all that is fetched is kept."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "otel-ebpf"


def archive() -> str:
    """Return the URI of a Debian archive: OTEL_EBPF_DEBIAN_ARCHIVE, or the one this host's apt uses."""
    if configured := os.environ.get("OTEL_EBPF_DEBIAN_ARCHIVE"):
        return configured
    targets = run("apt-get", "indextargets", "--format", "$(LABEL)\t$(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        label, _, uri = line.partition("\t")
        if label == "Debian":
            return uri
    raise ArchiveError(
        "this host's apt knows no Debian archive; set OTEL_EBPF_DEBIAN_ARCHIVE to the URI of one"
    )


def run(*command: str, cwd: Path | None = None) -> str:
    """Return what a command prints. Raises ArchiveError when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArchiveError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout
