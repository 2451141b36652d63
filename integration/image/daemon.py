"""A Docker daemon of our own: its data, its socket and its end are the test's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from integration.harness.limits import wait_until

_CLIENT = "/usr/bin/docker"  # the one packaged with the daemon; another one may stand before it in PATH


class DockerError(RuntimeError):
    """A command failed, or the daemon did not start; the message holds the end of what was said."""


class Daemon:
    """`dockerd` below `folder`, without touching the host's firewall.

    Containers and builds have the host's network, or, of one that has a network `namespace` for a host, those
    of its bridge. It has a mount namespace of its own: what it mounts is gone when it is.
    """

    def __init__(self, folder: Path, namespace: str = "") -> None:
        self._folder = folder
        self._namespace = namespace
        self.socket = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        arguments = [f"--data-root={self._folder}/data", f"--exec-root={self._folder}/exec"]
        arguments += [f"--host={self.socket}", f"--pidfile={self._folder}/pid", "--ip6tables=false"]
        # Not by `ip netns exec`, which mounts another /sys, without the control groups.
        within = ["nsenter", f"--net=/run/netns/{self._namespace}"] if self._namespace else []
        if within:  # between containers too, addresses are translated, and no proxy stands between them
            arguments += ["--userland-proxy=false"]
        else:
            arguments += ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*within, "unshare", "--mount", "--propagation=private", "/usr/sbin/dockerd", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not wait_until(self._answers, 60, every=0.2):
            log_text = (self._folder / "log").read_text(errors="replace")
            self._stop()
            raise DockerError(f"dockerd did not start:\n{log_text[-3000:]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def _answers(self) -> bool:
        return subprocess.run([*self.client, "version"], capture_output=True, check=False).returncode == 0

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()  # it ends its containerd, and that the containers
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def client(self) -> list[str]:
        """The client's command line, up to the verb."""
        return [_CLIENT, "--host", self.socket]

    def run(self, *arguments: str, timeout: float = 600, stdin: int = subprocess.DEVNULL) -> str:
        """Run a client's command and return its standard output; DockerError when it fails."""
        done = self.try_run(arguments, timeout=timeout, stdin=stdin)
        if done.returncode:
            raise DockerError(f"docker {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def try_run(
        self, arguments: Sequence[str], *, timeout: float = 600, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Run a client's command, whatever its exit status."""
        return subprocess.run(
            [*self.client, *arguments],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
