"""Programs whose TLS is not the system's OpenSSL or GnuTLS: Go's own, BoringSSL, rustls and others.

Clients trust the session's certificate authority by `certificates().environment`, which Go, rustls'
client here and programs/tls/client.c read too.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.harness.backend import Backend
from integration.harness.build import CLIENTS, PROGRAMS, SERVERS, _run, folder, java_class
from integration.harness.certificates import certificates
from integration.harness.clients import Command
from integration.harness.limits import wait_until
from integration.harness.measured import new_mark, run_client
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import Server, filled, serving, site
from integration.harness.spans import CLIENT

TLS = PROGRAMS / "tls"

LOCAL = "local"
"""The Go that is on this machine."""

NEWEST, PREVIOUS = "go1.27.4", "go1.26.11"

OLDEST = "go1.18.10"
"""Of the first series that is supported: older ones have other tables (otel_ebpf/kernel/binaries)."""

HTTP1 = {"GODEBUG": "http2client=0,http2server=0"}
"""Keeps net/http from choosing HTTP/2 by ALPN."""

_GO_SOURCES = {"server": SERVERS / "go_server", "client": CLIENTS / "go_client"}
GO_SERVICES = {kind: source.name for kind, source in _GO_SOURCES.items()}
"""The `service.name` that each one's spans must carry."""

_GO_LINKS = {
    "": ([], "0"),
    # The address of the first function is then behind a relocation.
    "pie": (["-buildmode=pie"], "0"),
    # The C compiler's start-up code comes first in .text, before the first Go function.
    "external": (["-ldflags=-linkmode=external"], "1"),
}


def _cache(name: str) -> Path:
    """A writable cache outside the tree, kept between runs."""
    return Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"


def _go_version(environment: Mapping[str, str]) -> str:
    command, merged = ["go", "env", "GOVERSION"], {**os.environ, **environment}
    done = subprocess.run(command, env=merged, capture_output=True, text=True, check=False, cwd=TLS)
    return done.stdout.strip()


@functools.cache
def go_tls_program(kind: str, version: str, stripped: bool, link: str = "") -> Path:
    """Build "server" or "client" by one version of Go; return the executable, named as its service.

    `link` is "", "pie" or "external" (by the C compiler). Versions other than LOCAL are fetched by the
    go command, which must be 1.21 or newer for that, at their first use.
    """
    source = _GO_SOURCES[kind]
    words, cgo = _GO_LINKS[link]
    if stripped:
        words = [*words, "-ldflags=-s -w" + (" -linkmode=external" if link == "external" else "")]
    target = folder() / "-".join(["go", version, link or "plain", "stripped" if stripped else "whole"])
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": version, "GOCACHE": str(_cache("go-build"))}
    environment["CGO_ENABLED"] = cgo
    if version != LOCAL and _go_version(environment) != version:
        pytest.skip(f"the go command here does not fetch {version}: too old, told not to, or offline")
    _run("go", "build", *words, "-o", target / source.name, ".", directory=source, environment=environment)
    return target / source.name


@contextmanager
def go_tls_server(version: str, stripped: bool, link: str = "") -> Iterator[Server]:
    """net/http over crypto/tls, HTTP/1.1 only."""
    port, made = free_port(), certificates()
    command: list[str | Path] = [go_tls_program("server", version, stripped, link), str(port)]
    command += [made.certificate, made.key]
    with Program(command, port=port, environment=HTTP1) as program:
        yield Server(program, port, GO_SERVICES["server"])


@contextmanager
def java_tls_server() -> Iterator[Server]:
    """The JDK's HttpsServer: its plaintext passes no function that has an address before it runs."""
    port, made, password = free_port(), certificates(), "of-no-secret"
    store = folder() / "server.p12"
    words: list[str | Path] = ["-export", "-in", made.certificate, "-inkey", made.key, "-out", store]
    _run("openssl", "pkcs12", *words, "-passout", f"pass:{password}", directory=folder())
    command: list[str | Path] = [*java_class(SERVERS / "JavaTlsServer.java"), str(port), store, password]
    with serving(command, port, "JavaTlsServer") as server:
        yield server


@contextmanager
def ktls_nginx() -> Iterator[Server]:
    """nginx that leaves encryption to the kernel: a head by SSL_write, a file's body by SSL_sendfile."""
    with site() as folder:
        port, made = free_port(), certificates()
        words = {"PORT": port, "FOLDER": folder, "CERTIFICATE": made.certificate, "SECRET_KEY": made.key}
        configuration = filled("nginx_ktls.conf.in", words, folder)
        with serving(["nginx", "-c", configuration, "-e", folder / "error.log"], port, "nginx") as server:
            yield server


def sessions_sent_by_kernel() -> int | None:
    """How many TLS sessions the kernel has begun to encrypt by itself; None where it has encrypted none."""
    table = Path("/proc/net/tls_stat")
    if not table.exists():
        return None
    counts = dict(line.split() for line in table.read_text().splitlines())
    return int(counts["TlsTxSw"])


_ANDROID = "/usr/lib/x86_64-linux-gnu/android"
_C_LIBRARIES = {
    "mbedtls": ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"],
    "wolfssl": ["-lwolfssl"],
    "nss": ["-I/usr/include/nss", "-I/usr/include/nspr", "-lssl3", "-lsmime3", "-lnss3", "-lnspr4"],
    "boringssl": ["-I/usr/include/android", f"-L{_ANDROID}", f"-Wl,-rpath,{_ANDROID}", "-lssl", "-lcrypto"],
}


def let_it_be_found(backend: Backend, command: Sequence[str | Path], url: str) -> None:
    """Run a client, again if need be, until a request of its is seen; its own tests fail if none ever is.

    Libraries that stand where no loader looks, and programs with their own, are found while they run for the
    first time: the first requests of that time are missed, and no others.
    """
    for _ in range(3):
        mark = new_mark()
        run_client(command, url, mark, 6, "GET", environment={**certificates().environment, **HTTP1})
        if wait_until(functools.partial(backend.marked, mark, CLIENT), seconds=1.0):
            return


@functools.cache
def c_client(library: str) -> Path:
    """Build programs/tls/client.c against one library's shared object."""
    target = folder() / f"{library}_client"
    options = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]
    sources = ["client.c", f"with_{library}.c"]
    _run("gcc", *options, "-o", target, *sources, *_C_LIBRARIES[library], directory=TLS)
    return target


@functools.cache
def nss_plain() -> Path:
    """Build programs/tls/nss_plain.c: NSPR without TLS."""
    target = folder() / "nss_plain"
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-I/usr/include/nspr"]
    _run("gcc", *options, "-o", target, "nss_plain.c", "-lnspr4", directory=TLS)
    return target


@functools.cache
def rustls_client() -> Path:
    """Build the rustls client with its symbols; its dependencies are fetched at the first use."""
    target = _cache("cargo-build")
    environment = {"CARGO_TARGET_DIR": str(target)}
    words = ["--release", "--locked", "--quiet"]
    _run("cargo", "build", *words, directory=TLS / "rustls_client", environment=environment)
    return target / "release" / "rustls_client"


@dataclass(frozen=True)
class OtherClient:
    """A client that takes URL MARK COUNT METHOD, its service, and the version of TLS that is agreed on."""

    command: Command
    service: str
    version: str = "1.3"


def _of_c(library: str, version: str = "1.3") -> OtherClient:
    return OtherClient(lambda: [c_client(library)], f"{library}_client", version)


def _of_python(name: str) -> OtherClient:
    return OtherClient(lambda: [sys.executable, CLIENTS / f"{name}.py"], name)


OTHER_CLIENTS = {
    "boringssl": _of_c("boringssl"),
    "boringssl_static": _of_python("curl_cffi_client"),
    "mbedtls": _of_c("mbedtls", "1.2"),
    "nss": _of_c("nss"),
    "s2n": _of_python("awscrt_client"),
    "wolfssl": _of_c("wolfssl"),
}
