"""Programs whose TLS is not the system's OpenSSL or GnuTLS: Go's own, BoringSSL, rustls and others.

Clients trust the session's certificate authority by `certificates().environment`, which Go, rustls'
client here and programs/tls/client.c read too.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integration.harness.backend import Backend
from integration.harness.build import CLIENTS, PROGRAMS, SERVERS, _run, cache, folder, java_class
from integration.harness.certificates import certificates
from integration.harness.clients import Command
from integration.harness.go_programs import Build, build
from integration.harness.limits import wait_until
from integration.harness.measured import new_mark, run_client
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import Server, filled, serving, site
from integration.harness.spans import CLIENT

TLS = PROGRAMS / "tls"

HTTP1 = {"GODEBUG": "http2client=0,http2server=0"}
"""Keeps net/http from choosing HTTP/2 by ALPN."""

_GO_SOURCES = {"server": SERVERS / "go_server", "client": CLIENTS / "go_client"}
GO_SERVICES = {kind: source.name for kind, source in _GO_SOURCES.items()}
"""The `service.name` that each one's spans must carry."""


def go_tls_program(kind: str, how: Build) -> Path:
    """Build "server" or "client"; return the executable, named as its service."""
    return build(_GO_SOURCES[kind], how)


@contextmanager
def go_tls_server(how: Build, environment: Mapping[str, str] = HTTP1) -> Iterator[Server]:
    """net/http over crypto/tls; HTTP/1.1 only, unless the environment is another."""
    port, made = free_port(), certificates()
    command: list[str | Path] = [go_tls_program("server", how), str(port)]
    command += [made.certificate, made.key]
    with Program(command, port=port, environment=environment) as program:
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


_OPTIONS = ("-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
_ANDROID = "/usr/lib/x86_64-linux-gnu/android"
_C_LIBRARIES = {
    "mbedtls": ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"],
    "wolfssl": ["-lwolfssl"],
    "nss": ["-I/usr/include/nss", "-I/usr/include/nspr", "-lssl3", "-lsmime3", "-lnss3", "-lnspr4"],
    "openssl_peeks": ["-DPEEKS", "-lssl", "-lcrypto"],
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
    source = "with_libssl.c" if "-lssl" in _C_LIBRARIES[library] else f"with_{library}.c"
    sources = ["client.c", "http.c", source]
    _run("gcc", *_OPTIONS, "-o", target, *sources, *_C_LIBRARIES[library], directory=TLS)
    return target


@functools.cache
def stripped_client() -> Path:
    """Build the same client with OpenSSL in it, and without names."""
    target = folder() / "stripped_client"
    sources = ["client.c", "http.c", "with_libssl.c"]
    libraries = ["-l:libssl.a", "-l:libcrypto.a"]
    _run("gcc", *_OPTIONS, "-s", "-o", target, *sources, *libraries, directory=TLS)
    return target


@functools.cache
def openssl_program(name: str) -> Path:
    """Build a program of programs/tls that uses OpenSSL by itself: "rebound" or "replaced"."""
    target = folder() / name
    sources = [f"{name}.c", "session.c", "http.c"]
    _run("gcc", *_OPTIONS, "-o", target, *sources, "-lssl", "-lcrypto", directory=TLS)
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
    target = cache("cargo-build")
    environment = {"CARGO_TARGET_DIR": str(target)}
    words = ["--release", "--locked", "--quiet"]
    _run("cargo", "build", *words, directory=TLS / "rustls_client", environment=environment)
    return target / "release" / "rustls_client"


@dataclass(frozen=True)
class OtherClient:
    """A client that takes URL MARK COUNT METHOD.

    Its service, how its sessions find their sockets, and the version of TLS that is agreed on.
    """

    command: Command
    service: str
    binds: str
    version: str = "1.3"


def _of_c(library: str, binds: str, version: str = "1.3") -> OtherClient:
    return OtherClient(lambda: [c_client(library)], f"{library}_client", binds, version)


def _of_python(name: str, binds: str) -> OtherClient:
    return OtherClient(lambda: [sys.executable, CLIENTS / f"{name}.py"], name, binds)


OTHER_CLIENTS = {
    "boringssl": _of_c("boringssl", "api"),
    "boringssl_static": _of_python("curl_cffi_client", "nested"),
    "mbedtls": _of_c("mbedtls", "nested", "1.2"),
    "nss": _of_c("nss", "nested"),
    "openssl_peeks": _of_c("openssl_peeks", "api"),
    "s2n": _of_python("awscrt_client", "nested or length"),
    "wolfssl": _of_c("wolfssl", "api"),
}

GO_BINDS = "api"
