"""A Debian 12 base image, bootstrapped from the archive that this host's apt uses.

It knows what the host knows: where packages come from, and which certificate authorities are trusted.
A base image of a site would be made the same way, so the Dockerfile need not know any of it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from integration.guest.archive import KEYRING, archive
from integration.image.daemon import Daemon

NAME = "base:debian-12"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def build(daemon: Daemon, folder: Path) -> str:
    """Bootstrap the image below `folder` and import it; return its name."""
    root = folder / "root"
    _run("debootstrap", "--variant=minbase", "--include=ca-certificates", f"--keyring={KEYRING}",
         "bookworm", str(root), archive())  # fmt: skip
    _copy_host_settings(root)
    for waste in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / waste)
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as archiver:
        assert archiver.stdout is not None
        daemon.run("import", "-", NAME, stdin=archiver.stdout.fileno())
    shutil.rmtree(root)
    return NAME


def _copy_host_settings(root: Path) -> None:
    for settings in sorted(Path("/etc/apt/apt.conf.d").glob("99*")):
        shutil.copy(settings, root / "etc/apt/apt.conf.d")
    if Path("/etc/pip.conf").exists():
        shutil.copy("/etc/pip.conf", root / "etc/pip.conf")
    # As a local authority, and not over the bundle: an upgrade of the package writes that anew.
    authorities = root / "usr/local/share/ca-certificates"
    authorities.mkdir(parents=True, exist_ok=True)
    shutil.copy(_CERTIFICATES, authorities / "host.crt")
    _run("chroot", str(root), "update-ca-certificates")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")
