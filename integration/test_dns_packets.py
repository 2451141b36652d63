"""Lookups of programs with a resolver of their own, by what they say to the name server."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.books import imbalances
from integration.harness.build import c_program, go_program, java_class
from integration.harness.fixtures import resolving
from integration.harness.limits import wait_until
from integration.harness.lookups import check_children, counted, lookups, measured
from integration.harness.measured import new_mark
from integration.harness.name_server import ADDRESS_6, DNS_PROGRAMS, NameServer
from integration.harness.network import HOST
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.resolved import STUB, resolved
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER

__all__ = ["resolving"]

# The hooks are the same on every rung.
pytestmark = pytest.mark.one_rung

SLOW_NS = 300_000_000
A, MX, TXT = 1, 15, 16
QUESTIONS = [sys.executable, str(DNS_PROGRAMS / "questions.py")]


@pytest.fixture(scope="module")
def observed() -> Iterator[Traced]:
    """An agent that observes what asks for the names of these tests."""
    config = {"discovery": {"include": [{"command_line": "*.test*"}]}}
    with Backend() as backend, Agent(endpoint=backend.endpoint, rung=RUNGS[0], config=config) as agent:
        yield Traced(agent, backend)


@pytest.fixture(scope="module", autouse=True)
def served(observed: Traced, resolving: NameServer) -> Iterator[tuple[int, str]]:
    """A server's port, and by which name a program asks it that began before the first test of this file."""
    port, name = free_port(), f"plain.{new_mark()}.test"
    server = [sys.executable, "-m", "http.server", "--bind", HOST, str(port)]
    with Program(resolving.within(*server)):
        resolving.wait_listening(HOST, port)
        asks = ["node", DNS_PROGRAMS / "node_remembers.js", name, str(port), "61"]
        with Program(resolving.within(*asks)):
            yield port, name


def node(*names: str) -> list[str]:
    asked = "".join(f"d.resolve4('{name}', () => {{}});" for name in names)
    return ["node", "-e", f"const d = require('dns'); {asked}"]


def go(*names: str) -> list[str]:
    return [str(go_program(DNS_PROGRAMS / "go_resolver")), *names]


def java(*names: str) -> list[str]:
    return [*java_class(DNS_PROGRAMS / "Lookups.java"), "questions", *names]


def ares(*names: str) -> list[str]:
    return [str(c_program(DNS_PROGRAMS / "ares_lookups.c", "gcc", "-lcares")), *names]


CLIENTS: dict[str, tuple[Callable[..., list[str]], str]] = {
    "node": (node, "node"),
    "go": (go, "go_resolver"),
    "java": (java, "Lookups"),
    "c-ares": (ares, "ares_lookups-gcc--lcares"),
}
ERRORS = {"plain": "", "slow": "", "none": "host_not_found", "empty": "no_data", "large": ""}


@pytest.mark.parametrize("client", CLIENTS)
def test_programs(observed: Traced, resolving: NameServer, client: str) -> None:
    """One lookup for each name, whatever was asked how often: IPv4 and IPv6 (Go), again by TCP (large)."""
    command, service = CLIENTS[client]
    names = {what: f"{what}.{new_mark()}.test" for what in ERRORS}
    truncations = counted(observed.backend, "ebpf.dns.truncations")
    resolving.run(command(*names.values()))
    for what, name in names.items():
        (span,) = lookups(observed.backend, name)
        assert span.attributes.get("error.type", "") == ERRORS[what], what
        assert span.service == service
        assert bool(span.attributes.get("dns.answers")) == (not ERRORS[what])
        assert span.attributes["dns.question.name"] == name
    (slow,) = lookups(observed.backend, names["slow"])
    assert slow.duration >= SLOW_NS
    asked = resolving.questions(names["large"])
    assert {transport for transport, _ in asked} == {"udp", "tcp"}
    truncations += sum(transport == "udp" for transport, _ in asked)
    assert wait_until(lambda: counted(observed.backend, "ebpf.dns.truncations") == truncations)
    assert wait_until(lambda: measured(observed.backend, names["none"]) == {"host_not_found": 1})


@pytest.mark.parametrize("client", ["node", "java"])
def test_a_name_server_that_fails(observed: Traced, resolving: NameServer, client: str) -> None:
    """These ask once: what asks again when it was answered (Go) has made another lookup."""
    command, service = CLIENTS[client]
    name = f"broken.{new_mark()}.test"
    resolving.run(command(name))
    assert resolving.questions(name) == [("udp", A)]
    (span,) = lookups(observed.backend, name)
    assert (span.attributes["error.type"], span.is_error, span.service) == ("try_again", True, service)
    assert "dns.answers" not in span.attributes
    assert wait_until(lambda: measured(observed.backend, name) == {"try_again": 1})


def test_other_types_are_lookups_of_their_own(observed: Traced, resolving: NameServer) -> None:
    """Asked for at once. There is a TXT record, and an address; and no MX record."""
    name = f"slow.{new_mark()}.test"
    asked = "".join(f"d.{kind}('{name}', () => {{}});" for kind in ("resolveTxt", "resolveMx", "resolve4"))
    resolving.run(["node", "-e", f"const d = require('dns'); {asked}"])
    assert sorted(kind for _, kind in resolving.questions(name)) == [A, MX, TXT]
    spans = lookups(observed.backend, name, 3)
    assert sorted(span.attributes.get("error.type", "") for span in spans) == ["", "", "no_data"]
    assert [span.attributes["dns.answers"] for span in spans if "dns.answers" in span.attributes] == [
        ["10.231.8.1"]
    ]
    assert all(span.duration >= SLOW_NS for span in spans)
    assert wait_until(lambda: measured(observed.backend, name) == {"": 2, "no_data": 1})


def test_a_name_server_by_ipv6(observed: Traced, resolving: NameServer) -> None:
    """Asked by UDP, and again by TCP."""
    name = f"large.{new_mark()}.test"
    asks = f"r.setServers(['[{ADDRESS_6}]:53']); r.resolve4('{name}', () => {{}});"
    resolving.run(["node", "-e", f"const r = new (require('dns').Resolver)(); {asks}"])
    assert resolving.questions(name) == [("udp", A), ("tcp", A)]
    (span,) = lookups(observed.backend, name)
    assert span.attributes["dns.answers"] == ["10.231.8.1"]
    assert wait_until(lambda: ADDRESS_6 in _servers(observed.backend, "ebpf.dns.truncations"))


def _servers(backend: Backend, metric: str) -> set[object]:
    points = [point for one in backend.receiver.metrics(metric) for point in one.points]
    return {point.attributes["network.peer.address"] for point in points}


def test_a_resolver_of_the_host_s(resolving: NameServer) -> None:
    """systemd-resolved: what asks it has made a lookup, and so has it when it asks."""
    include = [{"executable": "*/node"}, {"executable": "*/systemd-resolved"}]
    config = {"discovery": {"include": include}}
    with (
        resolved(resolving) as program,
        Backend() as backend,
        Agent(endpoint=backend.endpoint, rung=RUNGS[0], config=config),
    ):
        for what, error in (("plain", ""), ("none", "host_not_found")):
            name = f"{what}.{new_mark()}.test"
            asks = f"r.setServers(['{STUB}:53']); r.resolve4('{name}', () => {{}});"
            resolving.run(["node", "-e", f"const r = new (require('dns').Resolver)(); {asks}"])
            asked = len(resolving.questions(name))
            assert asked
            spans = lookups(backend, name, 1 + asked)
            assert Counter(span.service for span in spans) == {"node": 1, "systemd-resolved": asked}
            assert {span.attributes.get("error.type", "") for span in spans} == {error}
            assert {span.pid for span in spans if span.service != "node"} == {program.pid}


@pytest.mark.parametrize("way", ["connected", "unconnected", "messages", "both", "stream"])
def test_ways_to_ask(observed: Traced, resolving: NameServer, way: str) -> None:
    name = f"slow.{new_mark()}.test"
    resolving.run([*QUESTIONS, way, name])
    (span,) = lookups(observed.backend, name)
    assert span.duration >= SLOW_NS
    assert "10.231.8.1" in span.attributes["dns.answers"]


@pytest.mark.parametrize("server", ["go", "resolve4", "lookup"])
def test_lookups_of_a_request_are_children_of_its_span(
    observed: Traced, resolving: NameServer, server: str
) -> None:
    """Several at once, which one thread may serve. Of Node's two ways one has threads make the lookup."""
    port, names = free_port(), [f"slow.{new_mark()}.test" for _ in range(4)]
    command = ["node", DNS_PROGRAMS / "node_resolver.js", str(port), server]
    if server == "go":
        command = [go_program(DNS_PROGRAMS / "go_resolver"), "serve", str(port)]
    with Program(resolving.within(*command, "observed.test")):
        resolving.wait_listening("127.0.0.1", port)
        assert wait_until(lambda: _is_followed(observed, Path(command[0]).name))
        urls = [f"http://127.0.0.1:{port}/?host={name}&n={new_mark()}" for name in names]
        resolving.run(["curl", "-s", "--parallel", "--parallel-immediate", *urls])
        served = observed.backend.expect(len(names), port=port, kind=SERVER)
    check_children(observed.backend, served)


def _is_followed(observed: Traced, program: str) -> bool:
    """Whether the agent has found the runtime in a program that runs."""
    followed = observed.agent.status()["runtimes"]["followed"]
    return any(Path(one["path"]).name == program and one["processes"] for one in followed)


def test_asking_again_is_the_same_lookup(observed: Traced, resolving: NameServer) -> None:
    name, before = f"once.{new_mark()}.test", counted(observed.backend, "ebpf.dns.retries")
    resolving.run([*QUESTIONS, "repeated", name])
    assert len(resolving.questions(name)) == 2
    (span,) = lookups(observed.backend, name)
    assert span.duration >= 200_000_000
    assert not span.is_error
    assert wait_until(lambda: counted(observed.backend, "ebpf.dns.retries") == before + 1)


def test_no_answer(observed: Traced, resolving: NameServer) -> None:
    """It is given up after 5 s, which nobody else tells."""
    name = f"silent.{new_mark()}.test"
    resolving.run([*QUESTIONS, "forgotten", name])
    (span,) = lookups(observed.backend, name)
    assert span.attributes["error.type"] == "timeout"
    assert span.duration == 5_000_000_000


def test_what_a_library_call_asks_is_part_of_it(observed: Traced, resolving: NameServer) -> None:
    """Java's own class asks the C library, which asks for both families, and again by TCP."""
    name = f"large.{new_mark()}.test"
    before = observed.agent.ledger()
    resolving.run([*java_class(DNS_PROGRAMS / "Lookups.java"), "library", name])
    (span,) = lookups(observed.backend, name)
    assert span.service == "Lookups"
    asked = resolving.questions(name)
    assert len(asked) >= 4, asked
    grown = observed.agent.ledger()["datagram_lookup"] - before["datagram_lookup"]
    assert grown >= len(asked)


def test_a_name_is_remembered_while_its_answer_holds(
    observed: Traced, resolving: NameServer, served: tuple[int, str]
) -> None:
    """A client that says no name: it is told by the answer, for a minute where that holds for 30 s."""
    port, name = served
    assert wait_until(lambda: len(observed.backend.spans(port, CLIENT)) >= 2, 90)
    first, second = sorted(observed.backend.expect(2, port=port, kind=CLIENT), key=lambda span: span.start)
    assert first.attributes["server.address"] == name
    assert first.attributes["url.full"] == f"http://{name}:{port}/"
    assert second.start - first.start >= 60 * 10**9
    assert second.attributes["server.address"] == second.attributes["network.peer.address"] == HOST


def test_what_cannot_be_read_is_counted(observed: Traced, resolving: NameServer) -> None:
    """Two messages in one call stand where the registers do not say."""
    before = observed.agent.ledger()
    resolving.run([*QUESTIONS, "several", f"plain.{new_mark()}.test"])
    resolving.run([*QUESTIONS, "garbage", f"plain.{new_mark()}.test"])

    def grown(entry: str) -> int:
        return observed.agent.ledger()[entry] - before[entry]

    assert wait_until(lambda: grown("datagram_unread") == 2)
    assert wait_until(lambda: grown("protocol_datagram_unparsed") == 1)


def test_the_books_balance(observed: Traced, resolving: NameServer) -> None:
    names = [f"{what}.{new_mark()}.test" for what in ("plain", "none") for _ in range(40)]
    before = observed.agent.ledger()
    resolving.run([*QUESTIONS, "both", *names])
    lookups(observed.backend, names[-1])
    assert wait_until(lambda: not imbalances(observed.agent.ledger())), imbalances(observed.agent.ledger())
    after = observed.agent.ledger()
    assert after["protocol_lookup_seen"] - before["protocol_lookup_seen"] == len(names)
    assert after["datagram_seen"] - before["datagram_seen"] == 4 * len(names)
