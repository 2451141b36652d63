"""Proxies between services that ask each other: see programs/servers/*_proxies.*.in and hops.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from integration.harness.build import SERVERS
from integration.harness.certificates import certificates
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import Server, filled, site

__all__ = ["PROXIES", "Ways"]

Ways = Mapping[str, Server]
"""A proxy by the ways in which it may be asked: each is a port of its own."""


@contextmanager
def nginx(next_port: int, workers: int) -> Iterator[Ways]:
    """Run nginx in front of `next_port`, with so many processes."""
    with site() as folder:
        ports, configuration = _configure("nginx_proxies.conf.in", folder, next_port, workers)
        with Program(
            ["nginx", "-c", configuration, "-e", folder / "error.log"], port=ports["TLS"]
        ) as program:
            yield _ways(ports, program, "nginx")


@contextmanager
def haproxy(next_port: int, workers: int) -> Iterator[Ways]:
    """Run HAProxy in front of `next_port`, with so many threads."""
    with site() as folder:
        ports, configuration = _configure("haproxy_proxies.cfg.in", folder, next_port, workers)
        with Program(["haproxy", "-db", "-f", configuration], port=ports["TLS"]) as program:
            yield _ways(ports, program, "haproxy")


PROXIES: Mapping[str, Callable[[int, int], AbstractContextManager[Ways]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
}


def _configure(template: str, folder: Path, next_port: int, workers: int) -> tuple[dict[str, int], Path]:
    """Return a port for each LISTEN_WAY of the template, and the file in which they are filled in."""
    made, text = certificates(), (SERVERS / template).read_text()
    ports = {
        way: free_port() for way in sorted(set(re.findall(r"LISTEN_(\w+)", text)), key=len, reverse=True)
    }
    both = folder / "both.pem"
    both.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    words: dict[str, object] = {f"LISTEN_{way}": port for way, port in ports.items()}
    words |= {"FOLDER": folder, "WORKERS": workers, "NEXT": next_port}
    words |= {"CERTIFICATE": made.certificate, "SECRET_KEY": made.key, "PEM": both}
    return ports, filled(template, words, folder)


def _ways(ports: Mapping[str, int], program: Program, service: str) -> Ways:
    return {way.lower(): Server(program, port, service) for way, port in ports.items()}
