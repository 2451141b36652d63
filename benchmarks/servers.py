"""The servers under load, each alone on the first processor; the load generator has the second."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from integration.harness.build import SERVERS
from integration.harness.ports import free_port
from integration.harness.program import Program

PROGRAMS = Path(__file__).parent / "programs"
SERVER_CPU, LOAD_CPU = 0, 1
STATIC_BYTES = 612  # of the page that nginx comes with
_MOST_CONNECTIONS = 16_384


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    program: Program
    port: int
    tls: bool = False

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return self.program.pids


def pinned(cpu: int, *command: str | Path) -> list[str | Path]:
    """Return the command on one processor."""
    return ["taskset", "--cpu-list", str(cpu), *command]


@contextmanager
def nginx(*, tls: bool = False) -> Iterator[Server]:
    """One worker that sends a small static file."""
    port = free_port()
    descriptors = min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "files").mkdir()
        (folder / "files" / "index.html").write_bytes(b"x" * STATIC_BYTES)
        text = (PROGRAMS / "nginx.conf.in").read_text()
        words: dict[str, object] = {"PORT": port, "FOLDER": folder, "DESCRIPTORS": descriptors}
        words["CONNECTIONS"] = min(_MOST_CONNECTIONS, descriptors - 64)
        words |= {"LISTENING": " ssl" if tls else "", "CERTIFIED": _certified(folder) if tls else ""}
        for word, value in words.items():
            text = text.replace(word, str(value))
        (folder / "nginx.conf").write_text(text)
        command: list[str | Path] = ["nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        with _serve(command, port) as server:
            yield replace(server, tls=tls)


def _certified(folder: Path) -> str:
    """Return the lines by which nginx finds a certificate, which is made."""
    import trustme  # noqa: PLC0415  only who measures TLS needs it

    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "pem"))
    return f"ssl_protocols TLSv1.3; ssl_certificate {folder}/pem; ssl_certificate_key {folder}/pem;"


@contextmanager
def uvicorn() -> Iterator[Server]:
    """Uvicorn, on asyncio and h11, with a small ASGI application."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "uvicorn", "--loop", "asyncio"]
    command += ["--app-dir", SERVERS, "--port", str(port)]
    command += ["--no-access-log", "--http", "h11", "--loop", "asyncio", "asgi_app:app"]
    with _serve(command, port) as server:
        yield server


@contextmanager
def node() -> Iterator[Server]:
    """Node's http module."""
    port = free_port()
    with _serve(["node", SERVERS / "node_server.js", str(port)], port) as server:
        yield server


@contextmanager
def _serve(command: Sequence[str | Path], port: int) -> Iterator[Server]:
    with Program(pinned(SERVER_CPU, *command), port=port) as program:
        yield Server(program, port)
