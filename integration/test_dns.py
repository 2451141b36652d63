"""Lookups of names by the C library: one span and one measurement for each, as the program saw it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from integration.conftest import Traced
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.books import imbalances
from integration.harness.build import c_program
from integration.harness.fixtures import resolving
from integration.harness.limits import wait_until
from integration.harness.lookups import check_children, lookups, measured
from integration.harness.measured import new_mark
from integration.harness.name_server import ADDRESS, DNS_PROGRAMS, NameServer
from integration.harness.network import HOST
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER

__all__ = ["resolving"]

# The hooks are the same on every rung.
pytestmark = pytest.mark.one_rung

H_ERRNO: Final = {0: "", 1: "host_not_found", 4: "no_data"}
REVERSE: Final = ("gethostbyaddr", "gethostbyaddr_r", "getnameinfo")
AT_LEAST_NS: Final = {"slow": 300_000_000, "silent": 1_000_000_000}


@pytest.fixture(scope="module")
def observed() -> Iterator[Traced]:
    """An agent that observes what this file starts."""
    mine = [{"command_line": pattern} for pattern in (f"*{DNS_PROGRAMS}*", "*.test*", "*lookups*")]
    config = {"discovery": {"include": mine, "exclude": [{"command_line": "*name_server.py*"}]}}
    with Backend() as backend, Agent(endpoint=backend.endpoint, rung=RUNGS[0], config=config) as agent:
        yield Traced(agent, backend)


@functools.cache
def program(library: str) -> Path:
    """Build the program that looks up names, with one of the C libraries."""
    compiler, options = {
        "glibc": ("gcc", ()),
        "musl": ("musl-gcc", ()),
        "musl-static": ("musl-gcc", ("-static",)),
    }[library]
    return c_program(DNS_PROGRAMS / "lookups.c", compiler, *options)


def probed(observed: Traced, made: Path) -> bool:
    """Whether the agent has found the C library inside a program: while one that runs it lived."""
    return any(one["path"] == str(made) for one in observed.agent.status()["dns"]["libraries"])


def found_inside(observed: Traced, resolving: NameServer, made: Path) -> bool:
    """Whether it has, after another run where it had not: an emulated agent may be later than one lookup."""
    if not probed(observed, made):
        resolving.run([made, "getaddrinfo", f"slow.{new_mark()}.test"])
    return probed(observed, made)


def timed(output: str) -> list[tuple[int, int]]:
    """Return result and nanoseconds of each lookup, as the program has written them."""
    return [(int(result), int(took)) for result, took in map(str.split, output.splitlines())]


@pytest.mark.guest
@pytest.mark.parametrize("library", ["glibc", "musl", "musl-static"])
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("plain", ""),
        ("slow", ""),
        ("none", "host_not_found"),
        ("broken", "try_again"),
        ("silent", "try_again"),
    ],
)
def test_getaddrinfo(observed: Traced, resolving: NameServer, library: str, what: str, error: str) -> None:
    name, made = f"{what}.{new_mark()}.test", program(library)
    if library == "musl-static":
        assert wait_until(lambda: found_inside(observed, resolving, made)), observed.agent.log
    ((result, took),) = timed(resolving.run([made, "getaddrinfo", name]))
    assert bool(result) == bool(error)
    (span,) = lookups(observed.backend, name)
    assert span.attributes.get("error.type", "") == error
    assert span.is_error == bool(error)
    assert span.attributes["dns.question.name"] == name
    assert bool(span.attributes.get("dns.answers")) == (not error)
    assert AT_LEAST_NS.get(what, 0) <= span.duration <= took
    assert span.parent_id == ""
    assert len(resolving.questions(name)) >= 2, "one lookup asks for both families"
    assert wait_until(lambda: measured(observed.backend, name) == {error: 1}), measured(
        observed.backend, name
    )


@pytest.mark.parametrize("library", ["glibc", "musl"])
@pytest.mark.parametrize("way", ["gethostbyname", "gethostbyname2", "gethostbyname_r", "gethostbyname2_r"])
def test_gethostbyname(observed: Traced, resolving: NameServer, library: str, way: str) -> None:
    """With too little room the program asks twice: that is one lookup. `empty` is musl's HOST_NOT_FOUND."""
    names = [f"{what}.{new_mark()}.test" for what in ("plain", "empty", "none")]
    results = [result for result, _ in timed(resolving.run([program(library), way, *names]))]
    errors = [lookups(observed.backend, name)[0].attributes.get("error.type", "") for name in names]
    assert errors == [H_ERRNO[result] for result in results]
    assert errors[0] == ""
    assert errors[1] == ("no_data" if library == "glibc" else "host_not_found")
    assert errors[2] == "host_not_found"


@pytest.mark.parametrize("library", ["glibc", "musl"])
@pytest.mark.parametrize("way", REVERSE)
def test_reverse(observed: Traced, resolving: NameServer, library: str, way: str) -> None:
    """The question is the address's name. A call within the other, or again with room, is none of its own."""
    number = 10 * REVERSE.index(way) + ["glibc", "musl"].index(library)
    address = f"10.231.8.{100 + number}"
    ((result, _),) = timed(resolving.run([program(library), way, address]))
    assert result == 0
    (span,) = lookups(observed.backend, f"{100 + number}.8.231.10.in-addr.arpa")
    assert not span.is_error


def test_through_a_forwarder(observed: Traced, resolving: NameServer, tmp_path: Path) -> None:
    """One lookup of the client, by its call; and one of the forwarder, by what that asks the name server."""
    configuration, address = tmp_path / "resolv.conf", "127.0.0.53"
    configuration.write_text(f"nameserver {address}\n")
    forwarder = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="]
    forwarder += ["--bind-interfaces", f"--listen-address={address}", "--no-resolv", "--no-hosts"]
    forwarder += ["--local=/observed.test/", f"--server={ADDRESS}"]
    asking, name = replace(resolving, configuration=configuration), f"slow.{new_mark()}.test"
    with Program(resolving.within(*forwarder)):
        resolving.wait_listening(address, 53)
        ((result, took),) = timed(asking.run([program("glibc"), "getaddrinfo", name]))
    assert result == 0
    by_call, by_packets = lookups(observed.backend, name, 2)
    assert (by_call.service, by_packets.service) == (program("glibc").name, "dnsmasq")
    assert by_call.start <= by_packets.start <= by_packets.end <= by_call.end
    assert AT_LEAST_NS["slow"] <= by_packets.duration <= by_call.duration <= took


def test_getaddrinfo_a(observed: Traced, resolving: NameServer) -> None:
    """Its threads call getaddrinfo."""
    name = f"slow.{new_mark()}.test"
    ((result, took),) = timed(resolving.run([program("glibc"), "getaddrinfo_a", name]))
    assert result == 0
    (span,) = lookups(observed.backend, name)
    assert 300_000_000 <= span.duration <= took


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(["curl", "-s", "-o", "/dev/null", "http://{name}:9/"], 7, id="curl"),
        pytest.param(
            [sys.executable, "-c", "import socket, sys; socket.getaddrinfo(sys.argv[1], 80)", "{name}"],
            0,
            id="python",
        ),
        pytest.param(["node", "-e", "require('dns').lookup('{name}', () => {})"], 0, id="node"),
        pytest.param(["getent", "ahosts", "{name}"], 0, id="getent"),
    ],
)
def test_programs(observed: Traced, resolving: NameServer, words: list[str], status: int) -> None:
    """Each is new to the agent, and asks before it does anything else with sockets."""
    name = f"plain.{new_mark()}.test"
    resolving.run([word.replace("{name}", name) for word in words], status)
    (span,) = lookups(observed.backend, name)
    assert span.service == ("python" if words[0] == sys.executable else words[0])
    assert span.attributes["dns.answers"]


def test_addresses_are_not_looked_up(observed: Traced, resolving: NameServer) -> None:
    before = observed.agent.ledger()
    run = [program("glibc"), "getaddrinfo", "127.0.0.1", "::1", "127.1", "fe80::1%lo"]
    assert all(result == 0 for result, _ in timed(resolving.run(run)))
    resolving.run([program("glibc"), "numeric", "127.0.0.1"])
    assert wait_until(lambda: observed.agent.ledger()["lookup_numeric"] - before["lookup_numeric"] >= 5)
    for name in ("127.0.0.1", "::1", "127.1", "fe80::1%lo"):
        lookups(observed.backend, name, 0)


def test_lookups_of_a_request_are_children_of_its_span(observed: Traced, resolving: NameServer) -> None:
    port, names = free_port(), [f"slow.{new_mark()}.test" for _ in range(4)]
    server = [sys.executable, str(DNS_PROGRAMS / "asking_server.py"), str(port)]
    with Program(resolving.within(*server)):
        resolving.wait_listening("127.0.0.1", port)
        urls = [f"http://127.0.0.1:{port}/?host={name}&n={new_mark()}" for name in names]
        resolving.run(["curl", "-s", "--parallel", "--parallel-immediate", *urls])
        served = observed.backend.expect(len(names), port=port, kind=SERVER)
    check_children(observed.backend, served)


def test_the_books_balance(observed: Traced, resolving: NameServer) -> None:
    names = [f"{what}.{new_mark()}.test" for what in ("plain", "none") for _ in range(50)]
    resolving.run([program("glibc"), "getaddrinfo", *names, "127.0.0.1"])
    lookups(observed.backend, names[-1])
    assert wait_until(lambda: not imbalances(observed.agent.ledger())), imbalances(observed.agent.ledger())
    assert sum(len(lookups(observed.backend, name)) for name in (names[0], names[60])) == 2


ASKS_WITHOUT_HOST = """
import socket, sys
for _ in range(2):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        while connection.recv(4096):
            pass
"""


def test_server_by_the_name_that_was_asked_for(observed: Traced, resolving: NameServer) -> None:
    """Without a Host header a client's span has the address, if there is no name for it."""
    port, name = free_port(), f"plain.{new_mark()}.test"
    server = [sys.executable, "-m", "http.server", "--bind", HOST, str(port)]
    with Program(resolving.within(*server)):
        resolving.wait_listening(HOST, port)
        resolving.run([sys.executable, "-c", ASKS_WITHOUT_HOST, name, str(port)])
        spans = observed.backend.expect(2, port=port, kind=CLIENT)
    for span in spans:
        assert span.attributes["server.address"] == name
        assert span.attributes["url.full"] == f"http://{name}:{port}/"
        assert span.attributes["network.peer.address"] == HOST
