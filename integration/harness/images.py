"""Container images by the names that configs/ gives them, made of what is built here: none can be pulled."""

from __future__ import annotations

import functools
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration.guest.run import CHECKOUT
from integration.harness.build import folder
from integration.image import base
from integration.image.daemon import Daemon

__all__ = ["AGENT", "load_agent", "make"]

AGENT = "otel-ebpf:latest"


@functools.cache
def _saved_agent() -> Path:
    """Build the Dockerfile's image once a session, with its base; return both as a file."""
    target = folder() / "agent.tar"
    with tempfile.TemporaryDirectory(prefix="docker-") as scratch, Daemon(Path(scratch)) as daemon:
        from_base = f"BASE={base.build(daemon, Path(scratch))}"
        daemon.run("build", "--network=host", "--build-arg", from_base, "--tag", AGENT, str(CHECKOUT))
        daemon.run("save", "--output", str(target), AGENT, base.NAME)
    return target


def load_agent(daemon: Daemon) -> None:
    """Give a daemon the image `AGENT`, and its base."""
    daemon.run("load", "--input", str(_saved_agent()))


def make(
    daemon: Daemon, name: str, files: Mapping[str, Path], command: Sequence[str], **environment: str
) -> None:
    """Give a daemon an image of files by their paths in it, in which `command` runs."""
    words = ", ".join(f'"{word}"' for word in command)
    changes = [f"ENTRYPOINT [{words}]", *(f"ENV {key}={value}" for key, value in environment.items())]
    with tempfile.TemporaryFile() as root:
        with tarfile.open(fileobj=root, mode="w") as tar:
            for path, source in files.items():
                tar.add(source, path.lstrip("/"))
        root.seek(0)
        options = [word for change in changes for word in ("--change", change)]
        daemon.run("import", *options, "-", name, stdin=root.fileno())
