"""Kernel images of other Debian releases, fetched from Debian's archive and unpacked into a cache.

apt does the fetching, with lists, sources and a package database of its own: its signatures are verified
against the Debian archive keyring, and the host's packages and lists are neither read nor changed.

    python -m integration.guest.kernels fetch [RELEASE...]    (default: those that `make test` boots)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Release:
    """A Debian release: its code name, the kernel series it carries, and the rungs that series has."""

    name: str
    series: str
    rungs: tuple[str, ...]


RELEASES = {
    "bullseye": Release("bullseye", "5.10", ("trampoline", "kprobe", "syscall")),
    "bookworm": Release("bookworm", "6.1", ("trampoline", "kprobe", "syscall")),
    "trixie": Release("trixie", "6.12", ("trampoline", "socket_trace", "kprobe", "syscall")),
}
DEFAULT = ("bookworm",)


class KernelError(RuntimeError):
    """An image could not be had; the message says which command failed and what it said."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    release: Release
    image: Path
    """The bzImage; its modules lie in ../lib/modules, where the guest's starter looks for them."""


def cache_folder() -> Path:
    """Return where images are kept: OTEL_EBPF_KERNELS, or the user's cache folder."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("OTEL_EBPF_KERNELS") or caches / "otel-ebpf" / "kernels")


def find(release: Release) -> Kernel | None:
    """Return the release's kernel if it is in the cache."""
    images = sorted((cache_folder() / release.name / "boot").glob("vmlinuz-*"))
    return Kernel(release, images[-1]) if images else None


def fetch(release: Release) -> Kernel:
    """Return the release's kernel, downloading and unpacking it if it is not in the cache.

    Raises KernelError when the archive cannot be reached or does not verify.
    """
    if kernel := find(release):
        return kernel
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{release.name}-") as scratch:
        package = _download(release, Path(scratch))
        unpacked = Path(scratch) / "root"
        _run("dpkg-deb", "--extract", str(package), str(unpacked))
        if not (unpacked / "lib").exists():  # from Debian 13 on, packages know /usr/lib alone
            (unpacked / "lib").symlink_to("usr/lib")
        version = next((unpacked / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        _run("/usr/sbin/depmod", "--basedir", str(unpacked), version)
        unpacked.chmod(0o755)
        unpacked.rename(cache / release.name)  # whole or not at all
    kernel = find(release)
    assert kernel is not None
    return kernel


def archive() -> str:
    """Return the URI of a Debian archive: OTEL_EBPF_DEBIAN_ARCHIVE, or the one this host's apt uses."""
    if configured := os.environ.get("OTEL_EBPF_DEBIAN_ARCHIVE"):
        return configured
    targets = _run("apt-get", "indextargets", "--format", "$(LABEL)\t$(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        label, _, uri = line.partition("\t")
        if label == "Debian":
            return uri
    raise KernelError(
        "this host's apt knows no Debian archive; set OTEL_EBPF_DEBIAN_ARCHIVE to the URI of one"
    )


def _download(release: Release, scratch: Path) -> Path:
    for folder in ("lists/partial", "archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive()} {release.name} main\n")
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
    arguments = [argument for option in options for argument in ("-o", option)]
    _run("apt-get", *arguments, "--error-on=any", "update")
    depends = _run("apt-cache", *arguments, "depends", "linux-image-amd64")
    image = next(word for word in depends.split() if word.startswith(f"linux-image-{release.series}."))
    _run("apt-get", *arguments, "download", image, cwd=scratch)
    return next(scratch.glob("linux-image-*.deb"))


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KernelError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Fetch the named releases' kernels."""
    if arguments[:1] != ["fetch"]:
        print(__doc__, file=sys.stderr)
        return 2
    for name in arguments[1:] or DEFAULT:
        kernel = fetch(RELEASES[name])
        print(f"{kernel.release.series}: {kernel.image}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
