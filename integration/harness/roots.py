"""Root file systems of another distribution for programs to be chrooted into, with OpenSSL 1.1 in them.

python -m integration.harness.roots fetch
"""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integration.guest.archive import Suite, cache_folder, cached
from integration.harness.asking import Asking
from integration.harness.build import PROGRAMS, folder
from integration.harness.certificates import certificates
from integration.harness.servers import Server, serving

RELEASE = "bullseye"
"""Debian 11, the last with OpenSSL 1.1."""

LIBRARY = "/usr/lib/x86_64-linux-gnu/libssl.so.1.1"
"""By which programs in there know it. On this host there is no such file."""

# What its Python needs to serve and to ask over TLS, and no more.
_PACKAGES = (
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libgcc-s1",
    "libpython3.9-minimal",
    "libpython3.9-stdlib",
    "libssl1.1",
    "python3.9-minimal",
    "zlib1g",
)
_PYTHON = "/usr/bin/python3.9"

_numbers = itertools.count()


def fetch() -> Path:
    """Return the unpacked packages, downloaded if they are not in the cache. Nothing may write there."""

    def make(scratch: Path, unpacked: Path) -> None:
        Suite(RELEASE, scratch).unpack(unpacked, *_PACKAGES)

    return cached(cache_folder() / "roots" / RELEASE, make)


@dataclass(frozen=True)
class Root:
    """A root of the test's own: its files are new to every agent."""

    path: Path

    @contextmanager
    def server(self, port: int) -> Iterator[Server]:
        """Python's threaded HTTPS server in there."""
        with serving(["chroot", self.path, *self.serving(port)], port, "threaded") as server:
            yield server

    def client(self) -> Asking:
        """Return a client in there, which asks when it is told to."""
        command = ["chroot", self.path, _PYTHON, "/programs/clients/asking_client.py"]
        return Asking(command, {"SSL_CERT_FILE": "/authority.pem"})

    def serving(self, port: int) -> list[str]:
        """Return the command by which whoever has this root serves HTTPS."""
        return [_PYTHON, "/programs/servers/threaded.py", str(port), "/certificate.pem", "/key.pem"]


@contextmanager
def other_root() -> Iterator[Root]:
    """Make a root with this suite's programs and certificates in it."""
    root = folder() / f"root-{next(_numbers)}"
    shutil.copytree(fetch(), root, symlinks=True)
    try:
        shutil.copytree(PROGRAMS, root / "programs", ignore=shutil.ignore_patterns("__pycache__"))
        made = certificates()
        for file in (made.authority, made.certificate, made.key):
            shutil.copy(file, root)
        # The server asks for its own name: not the host's network.
        (root / "etc/nsswitch.conf").write_text("hosts: files\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        yield Root(root)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit(__doc__)
    print(f"{RELEASE}: {fetch()}")
