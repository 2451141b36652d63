"""The servers of the suite that speak TLS; their certificate is the session's."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from integration.harness.build import SERVERS
from integration.harness.certificates import certificates
from integration.harness.compare import NEAR
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import APACHE_MODULES, Server, Start, filled, serving, site

Words = Sequence[str | Path]


def _pair() -> list[str | Path]:
    made = certificates()
    return [made.certificate, made.key]


def _in_files() -> dict[str, object]:
    made = certificates()
    return {"CERTIFICATE": made.certificate, "SECRET_KEY": made.key, "AUTHORITY": made.authority}


def _script(command: Words, service: str) -> Start:
    """Return a server that takes PORT CERTIFICATE KEY."""

    @contextmanager
    def start() -> Iterator[Server]:
        port = free_port()
        with serving([*command, str(port), *_pair()], port, service) as server:
            yield server

    return start


@contextmanager
def uvicorn() -> Iterator[Server]:
    """Uvicorn: asyncio decrypts in memory, so that no system call nests in the library's."""
    port, (certificate, key) = free_port(), _pair()
    command: list[str | Path] = [sys.executable, "-m", "uvicorn", "--loop", "asyncio"]
    command += ["--app-dir", SERVERS, "--port", str(port)]
    command += ["--ssl-certfile", certificate, "--ssl-keyfile", key]
    command += ["--no-access-log", "--http", "h11", "--loop", "asyncio", "asgi_app:app"]
    with serving(command, port, "asgi_app") as server:
        yield server


@contextmanager
def many_ports(count: int) -> Iterator[list[Server]]:
    """One process and one event loop behind so many ports."""
    ports = [free_port() for _ in range(count)]
    command: list[str | Path] = [sys.executable, SERVERS / "many_ports.py", *_pair(), *map(str, ports)]
    with Program(command, port=ports[-1]) as program:
        yield [Server(program, port, "many_ports") for port in ports]


@contextmanager
def gunicorn() -> Iterator[Server]:
    """Gunicorn with two sync workers: handshakes in forked children, a connection for each request."""
    port, (certificate, key) = free_port(), _pair()
    command: list[str | Path] = [sys.executable, "-m", "gunicorn", "--chdir", SERVERS, "--workers", "2"]
    command += ["--certfile", certificate, "--keyfile", key]
    command += ["--no-control-socket", "--bind", f"127.0.0.1:{port}", "shop:app"]
    with Program(command, port=port, stop_signal=signal.SIGQUIT) as program:
        yield Server(program, port, "shop")


def _nginx(version: str) -> Start:
    @contextmanager
    def start() -> Iterator[Server]:
        with site() as folder:
            port, upstream = free_port(), free_port()
            words = {"PORT": port, "UPSTREAM": upstream, "FOLDER": folder, "VERSION": version, **_in_files()}
            configuration = filled("nginx_tls.conf.in", words, folder)
            with Program(["nginx", "-c", configuration, "-e", folder / "error.log"], port=port) as program:
                yield Server(program, port, "nginx", upstream)

    return start


@contextmanager
def apache_event() -> Iterator[Server]:
    """Apache's mod_ssl; threads that take events of many connections."""
    with site() as folder:
        port = free_port()
        words = {"PORT": port, "FOLDER": folder, "MODULES": APACHE_MODULES, "MPM": "event", **_in_files()}
        configuration = filled("apache.conf.in", words, folder)
        with Program(["apache2", "-D", "FOREGROUND", "-D", "TLS", "-f", configuration], port=port) as program:
            yield Server(program, port, "apache2")


@contextmanager
def gnutls() -> Iterator[Server]:
    """GnuTLS's own server, which answers every GET with a page and closes the connection."""
    port, (certificate, key) = free_port(), _pair()
    command: list[str | Path] = ["gnutls-serv", "--http", "--quiet", "--port", str(port)]
    command += ["--disable-client-cert", "--x509certfile", certificate, "--x509keyfile", key]
    with serving(command, port, "gnutls-serv") as server:
        yield server


TLS_APPLICATIONS: dict[str, Start] = {
    "threaded_tls": _script([sys.executable, SERVERS / "threaded.py"], "threaded"),
    "uvicorn_tls": uvicorn,
    "gunicorn_tls": gunicorn,
    "node_tls": _script(["node", SERVERS / "node_server.js"], "node_server"),
    "webrick_tls": _script(["ruby", SERVERS / "webrick_server.rb"], "webrick_server"),
}
TLS_STATIC: dict[str, Start] = {
    "nginx_tls": _nginx("TLSv1.3"),
    "nginx_tls_1_2": _nginx("TLSv1.2"),
    "apache_event_tls": apache_event,
}
TLS_SERVERS: dict[str, Start] = {**TLS_APPLICATIONS, **TLS_STATIC, "gnutls": gnutls}

VERSIONS = {"nginx_tls_1_2": "1.2"}
"""`tls.protocol.version` where it is not 1.3."""

NEAR_OF = {"gunicorn_tls": 10 * NEAR}
"""Where a client's time for a request has a connection and a handshake in it."""

BINDS = {
    "threaded_tls": "api",
    "uvicorn_tls": "length",
    "gunicorn_tls": "api",
    "node_tls": "length",
    "webrick_tls": "api",
    "nginx_tls": "api",
    "nginx_tls_1_2": "api",
    "apache_event_tls": "nested or length",
    "gnutls": "nested",
}
"""How each one's sessions find their sockets: the method of `ebpf.tls.binding`, as docs/tls.md has it."""
