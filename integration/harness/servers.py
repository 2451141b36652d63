"""The servers of the suite, each on a port of its own and ready when it is entered."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from integration.harness.build import SERVERS, go_program, java_class
from integration.harness.ports import free_port
from integration.harness.program import Program

APACHE_MODULES = Path("/usr/lib/apache2/modules")


@dataclass(frozen=True)
class Server:
    """A running server: its program, its port, and the `service.name` that its spans must carry."""

    program: Program
    port: int
    service: str
    upstream: int = 0  # nginx: the port behind /proxy/
    http2: int = 0  # nginx: a port that speaks HTTP/2 without TLS


@contextmanager
def serving(command: list[str | Path], port: int, service: str) -> Iterator[Server]:
    """Run a server of one process on one port."""
    with Program(command, port=port) as program:
        yield Server(program, port, service)


@contextmanager
def threaded(service: str = "") -> Iterator[Server]:
    """Python's ThreadingHTTPServer. `service` is what its own OTEL_SERVICE_NAME says."""
    port = free_port()
    named = {"OTEL_SERVICE_NAME": service} if service else {}
    command: list[str | Path] = [sys.executable, SERVERS / "threaded.py", str(port)]
    with Program(command, port=port, environment=named) as program:
        yield Server(program, port, service or "threaded")


@contextmanager
def uvicorn() -> Iterator[Server]:
    """Uvicorn, on asyncio and h11, with the ASGI application."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "uvicorn", "--loop", "asyncio"]
    command += ["--app-dir", SERVERS, "--port", str(port)]
    command += ["--no-access-log", "--http", "h11", "--loop", "asyncio", "asgi_app:app"]
    with serving(command, port, "asgi_app") as server:
        yield server


@contextmanager
def gunicorn() -> Iterator[Server]:
    """Gunicorn with two sync workers: accept in forked children, a connection for each request."""
    port = free_port()
    with _gunicorn(f"127.0.0.1:{port}", port=port) as program:
        yield Server(program, port, "shop")


def _gunicorn(bind: str, *, port: int = 0, unix_path: str = "") -> Program:
    command: list[str | Path] = [sys.executable, "-m", "gunicorn", "--chdir", SERVERS, "--workers", "2"]
    command += ["--no-control-socket", "--bind", bind, "shop:app"]
    # It answers SIGTERM by waiting for its workers, a second or two; SIGQUIT does not wait.
    return Program(command, port=port, unix_path=unix_path, stop_signal=signal.SIGQUIT)


@contextmanager
def node() -> Iterator[Server]:
    """Node's http module."""
    port = free_port()
    with serving(["node", SERVERS / "node_server.js", str(port)], port, "node_server") as server:
        yield server


@contextmanager
def java() -> Iterator[Server]:
    """The JDK's com.sun.net.httpserver."""
    port = free_port()
    with serving([*java_class(SERVERS / "JavaServer.java"), str(port)], port, "JavaServer") as server:
        yield server


@contextmanager
def go() -> Iterator[Server]:
    """Go's net/http."""
    port = free_port()
    with serving([go_program(SERVERS / "go_server"), str(port)], port, "go_server") as server:
        yield server


@contextmanager
def site() -> Iterator[Path]:
    """Make a folder with static files below `files`, readable for every user."""
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    try:
        folder.chmod(0o755)
        (folder / "files").mkdir()
        (folder / "files" / "1k.bin").write_bytes(b"x" * 1024)
        (folder / "files" / "1m.bin").write_bytes(b"x" * (1 << 20))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def nginx() -> Iterator[Server]:
    """One nginx worker with sendfile, proxying to itself, and to gunicorn behind a unix socket."""
    with site() as folder:
        port, upstream, http2 = free_port(), free_port(), free_port()
        unix_socket = folder / "application.sock"
        words: dict[str, object] = {"PORT": port, "UPSTREAM": upstream, "HTTP2": http2}
        words |= {"FOLDER": folder, "UNIX_SOCKET": unix_socket}
        configuration = filled("nginx.conf.in", words, folder)
        with (
            _gunicorn(f"unix:{unix_socket}", unix_path=str(unix_socket)),
            Program(["nginx", "-c", configuration, "-e", folder / "error.log"], port=port) as program,
        ):
            yield Server(program, port, "nginx", upstream, http2)


@contextmanager
def _apache(module: str) -> Iterator[Server]:
    with site() as folder:
        port = free_port()
        words = {"PORT": port, "FOLDER": folder, "MODULES": APACHE_MODULES, "MPM": module}
        configuration = filled("apache.conf.in", words, folder)
        with Program(["apache2", "-D", "FOREGROUND", "-f", configuration], port=port) as program:
            yield Server(program, port, "apache2")


@contextmanager
def apache_prefork() -> Iterator[Server]:
    """Apache, a process for each connection."""
    with _apache("prefork") as server:
        yield server


@contextmanager
def apache_event() -> Iterator[Server]:
    """Apache, threads that take events of many connections."""
    with _apache("event") as server:
        yield server


def filled(template: str, words: dict[str, object], folder: Path) -> Path:
    """Write a configuration with its words filled in; return its path."""
    text = (SERVERS / template).read_text()
    for word, value in words.items():
        text = text.replace(word, str(value))
    target = folder / template.removesuffix(".in")
    target.write_text(text)
    return target


Start = Callable[[], AbstractContextManager[Server]]

APPLICATIONS: dict[str, Start] = {
    "threaded": threaded,
    "uvicorn": uvicorn,
    "gunicorn": gunicorn,
    "node": node,
    "java": java,
    "go": go,
}
STATIC: dict[str, Start] = {"nginx": nginx, "apache_prefork": apache_prefork, "apache_event": apache_event}
