"""A network of its own with a name server in it, for programs whose resolver asks no other."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from integration.harness.build import PROGRAMS
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.network import Network, one_network
from integration.harness.program import Program

__all__ = ["ADDRESS", "ADDRESS_6", "DNS_PROGRAMS", "NameServer", "name_server"]

DNS_PROGRAMS = PROGRAMS / "dns"
ADDRESS, ADDRESS_6 = "127.0.0.1", "::1"


@dataclass(frozen=True)
class NameServer:
    """The server, and how programs come to ask it."""

    network: Network
    program: Program
    configuration: Path

    def within(self, *words: str | Path) -> list[str]:
        """Return a command in the network, whose resolver asks the server."""
        mount = f"mount --bind {shlex.quote(str(self.configuration))} /etc/resolv.conf"
        script = f'{mount} && exec "$@"'
        command = [*self.network.within, "unshare", "--mount", "sh", "-c", script, "sh"]
        return command + [str(word) for word in words]

    def run(
        self, words: Sequence[str | Path], status: int = 0, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a command to its end; return what it has written."""
        done = subprocess.run(
            self.within(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=slack(PATIENCE),
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        assert done.returncode == status, f"{words} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def wait_listening(self, address: str, port: int) -> None:
        """Wait until something in the network listens there."""

        def listens() -> bool:
            ask = f"import socket; socket.create_connection(({address!r}, {port}))"
            command = self.within(sys.executable, "-c", ask)
            return not subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode

        assert wait_until(listens), f"nothing listens on {address}:{port}"

    def questions(self, name: str) -> list[tuple[str, int]]:
        """Return transport and type of each question for a name, in the order in which they came."""
        asked = [line.split() for line in self.program.log.splitlines() if line.count(" ") == 3]
        return [(one[0], int(one[1])) for one in asked if one[2].lower() == name.lower()]


@contextmanager
def name_server(options: str = "timeout:1 attempts:2", within: Network | None = None) -> Iterator[NameServer]:
    """Start one, in a network that is there or in one of its own; `options` are resolv.conf's."""
    command = [sys.executable, str(DNS_PROGRAMS / "name_server.py"), ADDRESS, ADDRESS_6]
    networks = nullcontext(within) if within else one_network()
    with TemporaryDirectory(prefix="resolver-") as folder, networks as network:
        configuration = Path(folder, "resolv.conf")
        configuration.write_text(f"nameserver {ADDRESS}\noptions {options}\n")
        with Program([*network.within, *command]) as program:
            assert wait_until(lambda: "ready" in program.log), program.log
            yield NameServer(network, program, configuration)
