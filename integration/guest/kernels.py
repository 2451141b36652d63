"""Kernel images of other Debian releases, fetched from Debian's archive and unpacked into a cache.

python -m integration.guest.kernels fetch [RELEASE...]    (default: those that `make test` boots)
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from integration.guest import archive


@dataclass(frozen=True)
class Release:
    """A Debian release: its code name, the kernel series it carries, and the rungs that series has."""

    name: str
    series: str
    rungs: tuple[str, ...]
    """The first, another of each, gets all tests where the release is chosen by hand; the others the most."""


RELEASES = {
    "bullseye": Release("bullseye", "5.10", ("kprobe", "trampoline", "syscall")),
    "bookworm": Release("bookworm", "6.1", ("trampoline", "kprobe", "syscall")),
    "trixie": Release("trixie", "6.12", ("syscall", "trampoline", "socket_trace", "kprobe")),
}
DEFAULT = ("bookworm",)


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    release: Release
    image: Path
    """The bzImage; its modules lie in ../lib/modules, where the guest's starter looks for them."""


def cache_folder() -> Path:
    """Return where images are kept: OTEL_EBPF_KERNELS, or the user's cache folder."""
    return Path(os.environ.get("OTEL_EBPF_KERNELS") or archive.cache_folder() / "kernels")


def find(release: Release) -> Kernel | None:
    """Return the release's kernel if it is in the cache."""
    images = sorted((cache_folder() / release.name / "boot").glob("vmlinuz-*"))
    return Kernel(release, images[-1]) if images else None


def fetch(release: Release) -> Kernel:
    """Return the release's kernel, downloading and unpacking it if it is not in the cache.

    Raises ArchiveError when the archive cannot be reached or does not verify.
    """

    def make(scratch: Path, unpacked: Path) -> None:
        suite = archive.Suite(release.name, scratch)
        depends = suite.dependencies("linux-image-amd64")
        suite.unpack(
            unpacked, next(word for word in depends if word.startswith(f"linux-image-{release.series}."))
        )
        if not (unpacked / "lib").exists():  # from Debian 13 on, packages know /usr/lib alone
            (unpacked / "lib").symlink_to("usr/lib")
        version = next((unpacked / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        archive.run("/usr/sbin/depmod", "--basedir", str(unpacked), version)

    archive.cached(cache_folder() / release.name, make)
    kernel = find(release)
    assert kernel is not None
    return kernel


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
