"""A Debian that systemd has booted beside this host: its own root, processes and control groups, our network.

python -m integration.harness.booted fetch
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from integration.guest.archive import KEYRING, archive, cache_folder, cached
from integration.harness.build import PROGRAMS
from integration.harness.installed import run
from integration.harness.limits import wait_until

RELEASE = "bookworm"
_PACKAGES = ("systemd-sysv", "python3", "libbpf1")
_CGROUPS = next(Path(path) for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if Path(path).is_dir())

# The root is written in a layer above the one in the cache. What PID 1 would set of the kernel, which is this
# host's, is read-only to it; /dev is its own, for the console in this one is the host's.
_BOOT = """
set -e
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir="$2",upperdir=upper,workdir=work overlay root
mount --rbind "$3" root/programs
mount -t proc proc root/proc
mount --bind root/proc/sys root/proc/sys
mount -o remount,bind,ro root/proc/sys
mount -t sysfs -o ro sysfs root/sys
mount -t cgroup2 cgroup2 root/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs root/dev
for device in null zero full random urandom tty; do
    touch root/dev/$device
    mount --bind /dev/$device root/dev/$device
done
mkdir root/dev/pts root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts root/dev/pts
mount -t tmpfs -o mode=755 tmpfs root/run
echo 127.0.0.1 localhost >root/etc/hosts
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot root /sbin/init
"""


# unshare leaves SIGTERM to the program; by SIGKILL it takes that along.
_ALONE = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--pid", "--uts", "--cgroup", "--fork", "--kill-child", "--"),
)


def fetch() -> Path:
    """Return the root that all start from, made if it is not in the cache. Nothing may write there."""

    def make(_: Path, made: Path) -> None:
        run("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", f"--keyring={KEYRING}",
            RELEASE, made, archive(), limit=600)  # fmt: skip
        (made / "programs").mkdir()

    return cached(cache_folder() / "roots" / f"{RELEASE}-systemd", make)


class Booted:
    """One that runs; its files are gone with it."""

    def __init__(self, init: int) -> None:
        """`init` is its first process, by the id that this host has for it."""
        self._init = init

    def run(self, *words: str | Path) -> str:
        """Run a command in there as root; return its output."""
        spaces = ("--mount", "--pid", "--uts", "--cgroup", "--root", "--wd")
        within = ["nsenter", f"--target={self._init}", *spaces]
        return run(*within, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words)

    def write(self, path: str, text: str) -> None:
        """Write a file, and the folders above it."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, text)

    def copy(self, file: Path) -> str:
        """Copy a file into its root; return its path in there."""
        shutil.copy(file, f"/proc/{self._init}/root/root/{file.name}")
        return f"/root/{file.name}"


@contextmanager
def booted() -> Iterator[Booted]:
    """Boot one, and wait until its services can be asked."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="booted-")))
        group = _CGROUPS / folder.name
        group.mkdir()
        stack.callback(_remove_groups, group)
        enter = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', group / "cgroup.procs"]
        words = [*enter, *_ALONE, "sh", "-c", _BOOT, "sh", folder, fetch(), PROGRAMS]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        stack.callback(process.wait)
        stack.callback(process.kill)  # and with unshare, what it has started
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert wait_until(lambda: children.read_text().split()), (folder / "log").read_text()
        there = Booted(int(children.read_text().split()[0]))
        assert wait_until(lambda: _is_up(there)), (folder / "log").read_text()[-3000:]
        yield there


def _is_up(there: Booted) -> bool:
    try:
        there.run("systemctl", "is-system-running", "--wait")
    except AssertionError as refused:
        return "degraded" in str(refused)
    return True


def _remove_groups(group: Path) -> None:
    events = group / "cgroup.events"
    assert wait_until(lambda: "populated 0" in events.read_text()), "what has run in there does not end"
    for one in sorted(group.rglob("*"), reverse=True):
        if one.is_dir():
            one.rmdir()
    group.rmdir()


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit(__doc__)
    print(f"{RELEASE}: {fetch()}")
