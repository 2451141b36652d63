"""Containers of real runtimes, from an image that is made here: a static busybox, and a page to serve."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from integration.harness.limits import DIES_WITH_US, PATIENCE, slack, wait_until
from integration.harness.ports import free_port, is_listening
from integration.image.daemon import Daemon

BUSYBOX = Path("/usr/bin/busybox")  # of Debian's busybox-static
PAGE = b"here\n"
IMAGE = "till"


def archive() -> bytes:
    """Return the image's root as a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for path, data in (("www/index.html", PAGE), ("etc/passwd", b"root:x:0:0::/:/bin/busybox\n")):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def serving(port: int) -> list[str]:
    """Return the command by which a container serves its page."""
    return ["/bin/busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/www"]


def asking(port: int, mark: str) -> list[str]:
    """Return the command by which a container asks once, and ends."""
    return ["/bin/busybox", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}/?n={mark}"]


def give_image(daemon: Daemon) -> None:
    """Give the image to a daemon."""
    with tempfile.TemporaryFile() as root:
        root.write(archive())
        root.seek(0)
        daemon.run("import", "-", f"{IMAGE}:1.2", stdin=root.fileno())


@contextmanager
def docker_with_image() -> Iterator[Daemon]:
    """Run a Docker daemon that has the image."""
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, Daemon(Path(folder)) as daemon:
        give_image(daemon)
        yield daemon


def give_root(daemon: Daemon, root: Path, image: str) -> None:
    """Make an image of a folder."""
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
        assert tar.stdout
        daemon.run("import", "-", image, stdin=tar.stdout.fileno())


@contextmanager
def container_that_serves(
    docker: Daemon,
    *options: str,
    image: str = f"{IMAGE}:1.2",
    command: Callable[[int], Sequence[str]] = serving,
) -> Iterator[tuple[str, int]]:
    """Run a container that serves at a port, its page or by `command`; yield its id and port."""
    port = free_port()
    words = ["run", "--detach", "--network=host", *options, image, *command(port)]
    identifier = docker.run(*words).strip()
    try:
        assert wait_until(lambda: is_listening(port))
        yield identifier, port
    finally:
        docker.run("rm", "--force", identifier)


@contextmanager
def started(*command: str, ready: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon until its socket is there; it ends with the block."""
    with log.open("wb") as output, ExitStack() as stack:
        process = subprocess.Popen([*DIES_WITH_US, *command], stdout=output, stderr=output)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        assert wait_until(ready.is_socket, 30), log.read_text(errors="replace")[-2000:]
        yield process


class Podman:
    """Podman with its data, its containers and the socket of its API below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "podman.sock"
        self._folder = folder
        self._words = [
            "podman",
            "--runtime=runc",
            f"--root={folder}/root",
            f"--runroot={folder}/run",
            f"--tmpdir={folder}/tmp",
        ]
        self._words += ["--cgroup-manager=cgroupfs", "--storage-driver=vfs", "--events-backend=file"]

    def run(self, *arguments: str, data: bytes = b"") -> str:
        """Run a command and return what it says."""
        words = [*self._words, *arguments]
        done = subprocess.run(words, input=data, capture_output=True, timeout=slack(PATIENCE), check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return done.stdout.decode().strip()

    @contextmanager
    def service(self) -> Iterator[None]:
        """Answer on the socket."""
        words = [*self._words, "system", "service", "--time=0", f"unix://{self.socket}"]
        with started(*words, ready=self.socket, log=self._folder / "log"):
            try:
                yield
            finally:
                self.run("rm", "--all", "--force", "--time=0")
