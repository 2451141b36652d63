"""Run a command under another kernel, on this host's files.

The guest's root is this host's root file system, read-only; /tmp, /var, /etc and the like are overlays
in its memory. What is to come back is written to the one folder that is shared for writing. The exit
status comes back through a file there: the console of an emulated machine is not to be relied on.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.guest.kernels import Kernel

CHECKOUT = Path(__file__).resolve().parent.parent.parent

_STARTER = Path(sys.executable).parent / "vng"
_MEMORY = "2G"
_CPUS = 2
# A kernel has as many return probes as there could ever be CPUs. Two would be fewer than any host has, and
# run out as soon as three threads are preempted amid a send.
_HARDWARE = f"-smp {_CPUS},maxcpus=8"

# A second view of the host's files, whose pages the guest may keep: importing Python modules through
# the first, uncached one takes four times as long. Nothing writes to these files while a guest runs.
_CACHED_VIEW = (
    "-fsdev local,id=cached,path=/,security_model=none,readonly=on,multidevs=remap "
    "-device virtio-9p-pci,fsdev=cached,mount_tag=cached"
)

_ENTER = """#!/bin/sh
# Runs in the guest as root: enter the cached view of the host's files, and do the job there.
set -e
mount -t 9p -o ro,cache=loose,trans=virtio,version=9p2000.L,msize=512000 cached /mnt
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
mkdir /run/checkout
mount --bind /mnt{checkout} /run/checkout
for folder in proc sys dev run tmp var etc; do mount --rbind "/$folder" "/mnt/$folder"; done
mount --bind /run/checkout /mnt{checkout}
cut -d' ' -f1 /proc/uptime > {share}/uptime
status=0
chroot /mnt /bin/sh {share}/job.sh > {share}/output 2>&1 || status=$?
echo "$status" > {share}/status.part
sync
mv {share}/status.part {share}/status
"""


class GuestError(RuntimeError):
    """The guest did not run the command to its end; the message holds what is known."""


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end in a guest."""

    status: int
    output: str
    """Standard output and standard error."""
    boot_seconds: float
    """From the kernel's start to the command's, on the guest's own clock."""


def run_in_guest(
    kernel: Kernel,
    command: Sequence[str],
    *,
    timeout: float,
    share: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Boot `kernel`, run `command` in the checkout as root, and return how it ended.

    `share` is a folder that both sides write (a temporary one by default); its path is the same on both.
    `environment` is all that the command inherits, beside a PATH. Software emulation: 10 to 20 times
    slower than the host. Raises GuestError when the guest did not finish within `timeout` seconds.
    """
    if share is None:
        with tempfile.TemporaryDirectory(prefix="guest-") as folder:
            return run_in_guest(kernel, command, timeout=timeout, share=Path(folder), environment=environment)
    for name in ("status", "output", "uptime"):
        (share / name).unlink(missing_ok=True)
    (share / "enter.sh").write_text(_ENTER.format(checkout=CHECKOUT, share=share))
    (share / "job.sh").write_text(_job(command, environment or {}))
    _boot(kernel, share, timeout)
    if not (share / "status").exists():
        raise GuestError(f"{kernel.image.name} did not run the command to its end:\n{_known(share)}")
    return Finished(
        status=int((share / "status").read_text()),
        output=(share / "output").read_text(errors="replace"),
        boot_seconds=float((share / "uptime").read_text()),
    )


def _job(command: Sequence[str], environment: Mapping[str, str]) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"
    settings = {
        "PATH": path,
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join([*exports, f"cd {shlex.quote(str(CHECKOUT))}", f"exec {shlex.join(command)}", ""])


def _boot(kernel: Kernel, share: Path, timeout: float) -> None:
    """Run the emulator to its end; it and its helpers form a process group, which ends with it.

    A test run that is killed takes the emulator with it: `timeout` then gets a signal and passes it on
    to the group.
    """
    guarded = ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=5", str(int(timeout) + 5)]
    arguments = ["--disable-kvm", "--run", str(kernel.image), "--cpus", str(_CPUS), "--memory", _MEMORY]
    arguments += ["--rwdir", str(share), f"--qemu-opts={_HARDWARE} {_CACHED_VIEW}"]
    path = f"{_STARTER.parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    with (share / "console").open("wb") as console:
        starter = subprocess.Popen(
            [*guarded, str(_STARTER), *arguments, "--", f"sh {share}/enter.sh"],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=os.environ | {"PATH": path, "TMPDIR": str(share)},
            start_new_session=True,
        )
        try:
            starter.wait(timeout)
        except subprocess.TimeoutExpired as too_slow:
            raise GuestError(f"still running after {timeout:.0f} s:\n{_known(share)}") from too_slow
        finally:
            _end_group(starter)


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


def _known(share: Path) -> str:
    parts = []
    for name in ("console", "output"):
        if (share / name).exists():
            text = (share / name).read_text(errors="replace")
            parts.append(f"--- {name}\n{text[-3000:].strip()}")
    return "\n".join(parts)
