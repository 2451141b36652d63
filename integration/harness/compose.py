"""Compose files of configs/, started by a real docker-compose on a host that is a network namespace."""

from __future__ import annotations

import json
import os
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from integration.guest.run import CHECKOUT
from integration.harness.installed import run
from integration.harness.limits import PATIENCE
from integration.harness.network import Network, one_network
from integration.image.daemon import Daemon

__all__ = ["FILES", "Host", "host"]

FILES = CHECKOUT / "configs" / "compose"


@dataclass(frozen=True)
class Host:
    """One with a container engine of its own."""

    daemon: Daemon
    network: Network

    def ask(self, port: int, path: str, **what: object) -> Any:
        """Return the answer, in JSON, of a server on its loopback."""
        url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(what)}"
        words = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), url]
        return json.loads(run(*self.network.within, *words))

    def config(self, file: str) -> Any:
        """Have a file checked; return how it was understood."""
        return yaml.safe_load(self._run("docker-compose", "--file", FILES / file, "config"))

    @contextmanager
    def up(self, file: str, *services: str, environment: Mapping[str, str] | None = None) -> Iterator[None]:
        """Start services of a file; `environment` is more of the agent's, by a second file."""
        with tempfile.TemporaryDirectory(prefix="compose-") as folder:
            more = Path(folder, "more.yaml")
            more.write_text(
                yaml.safe_dump({"services": {"otel-ebpf": {"environment": dict(environment or {})}}})
            )
            words: list[str | Path] = [
                "docker-compose",
                "--file",
                FILES / file,
                "--file",
                more,
                "--project-name",
                "tests",
            ]
            with ExitStack() as stack:
                stack.callback(self._run, *words, "down", "--volumes", "--timeout=5")
                self._run(*words, "up", "--detach", "--no-deps", *services)
                try:
                    yield
                except BaseException as failed:
                    failed.add_note(self._run(*words, "logs", "--tail=30"))
                    raise

    def _run(self, *words: str | Path) -> str:
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return run(*words, env={**clean, "DOCKER_HOST": self.daemon.socket})


@contextmanager
def host() -> Iterator[Host]:
    """Make one."""
    with (
        tempfile.TemporaryDirectory(prefix="docker-") as folder,
        one_network() as network,
        Daemon(Path(folder), network.name) as daemon,
    ):
        yield Host(daemon, network)
