"""systemd-resolved beside a name server, from Debian's package: installed, it would be this host's resolver.

python -m integration.harness.resolved fetch
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from integration.guest.archive import Suite, cache_folder, cached
from integration.harness.name_server import ADDRESS, NameServer
from integration.harness.program import Program

STUB = "127.0.0.53"
"""Where it listens."""

_RELEASE = "bookworm"
_PACKAGES = ("systemd-resolved", "libsystemd-shared")
_LIBRARIES = "usr/lib/x86_64-linux-gnu/systemd"
_ACCOUNT = "systemd-resolve:x:996:996::/:/usr/sbin/nologin\n"
_SETTINGS = f"[Resolve]\nDNS={ADDRESS}\nDomains=~.\nCache=no\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\n"

# Its files are in places that are given, of which it sees others than the host does.
_START = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/resolved.conf.d
cp "$1/settings" /run/systemd/resolved.conf.d/ours.conf
mount --bind "$1/passwd" /etc/passwd
exec "$2"
"""


def fetch() -> Path:
    """Return the unpacked packages, downloaded if they are not in the cache. Nothing may write there."""

    def make(scratch: Path, unpacked: Path) -> None:
        Suite(_RELEASE, scratch).unpack(unpacked, *_PACKAGES)

    return cached(cache_folder() / "resolved" / _RELEASE, make)


@contextmanager
def resolved(behind: NameServer) -> Iterator[Program]:
    """Run it in the name server's network, where it asks that server for whoever asks it at STUB."""
    # Where there is nothing but a loopback device, it takes itself for offline.
    for words in (
        ("link", "add", "wire", "type", "veth", "peer", "name", "end"),
        ("address", "add", "10.231.8.9/32", "dev", "wire"),
        ("link", "set", "wire", "up"),
        ("link", "set", "end", "up"),
    ):
        subprocess.run(["ip", "-n", behind.network.name, *words], check=True, stdin=subprocess.DEVNULL)
    root = fetch()
    with TemporaryDirectory(prefix="resolved-") as folder:
        Path(folder, "settings").write_text(_SETTINGS)
        Path(folder, "passwd").write_text(Path("/etc/passwd").read_text() + _ACCOUNT)
        command = behind.within("sh", "-ec", _START, "sh", folder, root / "lib/systemd/systemd-resolved")
        with Program(command, environment={"LD_LIBRARY_PATH": str(root / _LIBRARIES)}) as program:
            behind.wait_listening(STUB, 53)
            yield program


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit(__doc__)
    print(f"{_RELEASE}: {fetch()}")
