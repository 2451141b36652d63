"""Two network namespaces with a wire between them, and an address in one that stands for the other's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from integration.harness.build import PROGRAMS
from integration.harness.limits import DIES_WITH_US, PATIENCE, slack, wait_until

VISITORS, SERVICES = "10.231.7.1", "10.231.7.2"
VISITORS_6, SERVICES_6 = "fd00:231:7::1", "fd00:231:7::2"
SLOW_SERVICES, SLOW_SERVICES_6 = "10.231.9.2", "fd00:231:9::2"
HOST = "10.231.8.1"
TRANSLATED = "10.231.99.1"
"""What visitors call the services by, where their addresses are translated (DNAT)."""


@dataclass(frozen=True)
class Networks:
    """The namespaces' names."""

    visitors: str
    services: str

    def within(self, namespace: str) -> list[str]:
        """Return the words that run a command in one of them."""
        return ["ip", "netns", "exec", namespace]

    def open_fast(self) -> None:
        """Have SYNs carry data, without cookies and without the server's asking for it (tcp_fastopen)."""
        for namespace in (self.visitors, self.services):
            _run(*self.within(namespace), "sysctl", "-qw", "net.ipv4.tcp_fastopen=0x607")

    def fast_opens(self) -> int:
        """Return how many connections the services have accepted with data in their SYN."""
        lines = _run(*self.within(self.services), "cat", "/proc/net/netstat").splitlines()
        names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
        return int(values[names.index("TCPFastOpenPassive")])

    def wait_listening(self, port: int) -> None:
        """Wait until something listens on a port of the services' namespace."""
        _wait_listening(self.within(self.services), port)


@dataclass(frozen=True)
class Network:
    """The namespace's name."""

    name: str

    @property
    def within(self) -> list[str]:
        """The words that run a command in it."""
        return ["ip", "netns", "exec", self.name]

    def add(self, *addresses: str) -> None:
        """Give it further addresses."""
        for address in addresses:
            _run("ip", "-n", self.name, "address", "add", f"{address}/32", "dev", "lo")

    def wait_listening(self, port: int) -> None:
        """Wait until something listens on a port there."""
        _wait_listening(self.within, port)


@contextmanager
def one_network() -> Iterator[Network]:
    """Make one in which nothing is but the address HOST; it is gone at the end."""
    made = Network(f"host-{os.getpid()}")
    _run("ip", "netns", "add", made.name)
    try:
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{HOST}/32", "dev", "lo"),
        ):
            _run("ip", "-n", made.name, *words)
        yield made
    finally:
        _run("ip", "netns", "delete", made.name)


@contextmanager
def two_networks(port: int) -> Iterator[Networks]:
    """Make them; `port` of the translated address is that port of the services'. Both are gone at the end."""
    made = Networks(f"visitors-{os.getpid()}", f"services-{os.getpid()}")
    with ExitStack() as stack:
        for name in (made.visitors, made.services):
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "delete", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run(
            *("ip", "-n", made.visitors, "link", "add", "wire", "type", "veth"),
            *("peer", "name", "wire", "netns", made.services),
        )
        for name, address, address_6 in (
            (made.visitors, VISITORS, VISITORS_6),
            (made.services, SERVICES, SERVICES_6),
        ):
            _run("ip", "-n", name, "address", "add", f"{address}/30", "dev", "wire")
            _run("ip", "-n", name, "address", "add", f"{address_6}/64", "dev", "wire", "nodad")
            _run("ip", "-n", name, "link", "set", "wire", "up")
        _run("ip", "-n", made.visitors, "route", "add", TRANSLATED, "dev", "wire")
        _run(
            *made.within(made.visitors),
            *("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", TRANSLATED),
            *("--dport", "80", "-j", "DNAT", "--to-destination", f"{SERVICES}:{port}"),
        )
        yield made


@contextmanager
def slow_wire(networks: Networks, milliseconds: int) -> Iterator[None]:
    """Lay another wire between them, which takes so long each way: SLOW_SERVICES are the services there."""
    program = [sys.executable, str(PROGRAMS / "network" / "slow_wire.py")]
    words = [*DIES_WITH_US, *program, networks.visitors, networks.services, str(milliseconds)]
    wire = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert wire.stdout is not None
        assert wire.stdout.readline() == "ready\n"
        for name, last in ((networks.visitors, 1), (networks.services, 2)):
            _run("ip", "-n", name, "address", "add", f"10.231.9.{last}/30", "dev", "slow")
            _run("ip", "-n", name, "link", "set", "slow", "up")
            _run("ip", "-n", name, "address", "add", f"fd00:231:9::{last}/64", "dev", "slow", "nodad")
        yield
    finally:
        wire.communicate("", slack(PATIENCE))


def _wait_listening(within: list[str], port: int) -> None:
    wanted = re.compile(f":{port:04X} 0+:0000 0A")
    sockets = [*within, "cat", "/proc/net/tcp", "/proc/net/tcp6"]
    assert wait_until(lambda: bool(wanted.search(_run(*sockets)))), f"nothing listens on {port}"


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{words} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
