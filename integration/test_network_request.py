"""The network or the application? What one span says of it, and how its connection was made."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from integration.conftest import Traced
from integration.harness.fixtures import networks, server, visitor
from integration.harness.limits import slack
from integration.harness.lookups import INTERNAL
from integration.harness.measured import new_mark
from integration.harness.network import (
    SERVICES,
    SERVICES_6,
    SLOW_SERVICES,
    SLOW_SERVICES_6,
    Networks,
    slow_wire,
)
from integration.harness.ports import free_port
from integration.harness.provoke import reaches
from integration.harness.puppet import OBSERVED, Puppet
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.harness.tcp_counts import kernel_counter, socket_counters

__all__ = ["networks", "server", "visitor"]

StartAgent = Callable[..., Traced]

RTT, MIN_RTT, AGAIN = "ebpf.tcp.rtt", "ebpf.tcp.min_rtt", "ebpf.tcp.retransmits"
WAIT, FIRST_BYTE = "ebpf.request.wait.duration", "ebpf.response.time_to_first_byte"
ACCEPT = "ebpf.request.accept.duration"
LATE = min(slack(0.4), 2)
"""Seconds by which programs are late. On a wire without delay everything else takes far less."""

ONE_WAY_MS = 150
TICKS = 0.02
"""Two of the kernel's, of 100 Hz: what `WAIT` may be short of."""

ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def slow(networks: Networks) -> Iterator[None]:
    """The slow wire between them."""
    with slow_wire(networks, ONE_WAY_MS):
        yield


@dataclass
class Talk:
    """Requests of a visitor to a server, step by step."""

    traced: Traced
    visitor: Puppet
    server: Puppet
    address: str
    bound: str = "::"
    asks: object = None
    serves: object = None

    def __post_init__(self) -> None:
        self.port = self.server.do("listen", self.bound, free_port(), 16)
        self.mark = new_mark()
        self.asked = 0
        self.asked_at = 0.0

    def connect(self) -> None:
        self.asks = self.visitor.do("connect", self.address, self.port, 1)

    def accept(self) -> None:
        self.serves = self.server.do("accept", 1)

    def ask(self, body: int = 0) -> int:
        """Send a request; return how long it is. One with a body is on its way when this returns."""
        self.asked_at = time.time()
        head = f"POST /?n={self.mark}-{self.asked} HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n"
        self.asked += 1
        self.visitor.begin("say", self.asks, head + "x" * body)
        if not body:
            self.visitor.finish()
        return len(head) + body

    def answer(self, length: int, thinks: float = 0) -> None:
        """Have the server read the request, think about it, and answer."""
        self.server.do("hear", self.serves, length)
        self.server.do("sleep", thinks)
        self.server.do("say", self.serves, ANSWER)
        self.visitor.do("hear", self.asks, len(ANSWER))

    def spans(self, kind: int) -> list[SeenSpan]:
        seen = self.traced.backend.expect(self.asked, kind=kind, mark=self.mark)
        return sorted(seen, key=lambda span: span.start)

    def children(self) -> list[SeenSpan]:
        """Return how the client's connections were made; nothing else is a child of its spans."""
        client, host = self.spans(CLIENT), self.visitor.service
        ids = {span.span_id for span in client}
        made = [one for one in self.traced.backend.spans(kind=INTERNAL) if one.service == host]
        assert {one.parent_id for one in made} <= ids
        return sorted(made, key=lambda span: span.start)


@pytest.fixture
def talk(traced: Traced, visitor: Puppet, server: Puppet) -> Callable[..., Talk]:
    return lambda address=SERVICES, bound="::": Talk(traced, visitor, server, address, bound)


@pytest.mark.fast
@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(
    ("address", "version"), [(SLOW_SERVICES, "ipv4"), (SLOW_SERVICES_6, "ipv6")], ids=["IPv4", "IPv6"]
)
def test_a_slow_network(talk: Callable[[str], Talk], address: str, version: str) -> None:
    """It shows in what both ends say of the round trip, and in connecting, and not in the server's wait."""
    one = talk(address)
    one.connect()
    one.accept()
    one.answer(one.ask())
    (client,), (server,) = one.spans(CLIENT), one.spans(SERVER)
    round_trip = 2 * ONE_WAY_MS / 1000
    for span in (client, server):
        assert span.attributes[RTT] >= round_trip
        assert span.attributes[MIN_RTT] >= round_trip
        assert AGAIN not in span.attributes
    assert client.attributes[FIRST_BYTE] >= round_trip
    assert server.attributes.get(WAIT, 0) < round_trip
    assert 0 < server.attributes[FIRST_BYTE] < round_trip
    (made,) = one.children()
    host = f"[{address}]" if ":" in address else address
    assert made.name == f"socket connect {host}:{one.port}"
    assert made.duration >= round_trip * 1e9
    assert (made.trace_id, made.parent_id) == (client.trace_id, client.span_id)
    assert made.end <= client.start
    assert made.attributes == {
        "network.peer.address": address,
        "network.peer.port": one.port,
        "network.transport": "tcp",
        "network.type": version,
    }


@pytest.mark.fast
@pytest.mark.parametrize(
    ("address", "bound", "reads_late"),
    [
        pytest.param(SERVICES, SERVICES, 0, id="IPv4"),
        pytest.param(SERVICES, "::", 2 * LATE, id="IPv4 by IPv6, read late", marks=pytest.mark.guest),
        pytest.param(SERVICES_6, "::", 0, id="IPv6"),
    ],
)
def test_a_server_that_accepts_late(
    talk: Callable[..., Talk], address: str, bound: str, reads_late: float
) -> None:
    """It shows in the wait, exactly, and not in the network's numbers; what came after is told apart."""
    one = talk(address, bound)
    one.connect()
    length = one.ask()
    one.server.do("sleep", LATE)
    accepting = time.time()
    one.accept()
    accepted = time.time()
    one.server.do("sleep", reads_late)
    one.answer(length)
    (client,), (server,) = one.spans(CLIENT), one.spans(SERVER)
    assert LATE <= server.attributes[ACCEPT] < accepted - one.asked_at
    assert LATE + reads_late <= server.attributes[WAIT] < server.start / 1e9 - one.asked_at
    assert server.attributes[WAIT] - server.attributes[ACCEPT] < server.start / 1e9 - accepting
    assert ACCEPT not in client.attributes
    assert client.attributes[FIRST_BYTE] >= LATE
    assert WAIT not in client.attributes
    for span in (client, server):
        assert span.attributes[RTT] < LATE / 2
    assert server.attributes[FIRST_BYTE] < LATE
    (made,) = one.children()
    assert made.duration < LATE * 1e9


def test_a_request_whose_end_comes_once_it_was_accepted(talk: Callable[[], Talk]) -> None:
    """It has waited since that end alone, and in no queue."""
    one = talk()
    one.connect()
    head = f"GET /?n={one.mark} HTTP/1.1\r\nHost: a\r\n\r\n"
    one.visitor.do("say", one.asks, head[:20])
    one.server.do("sleep", LATE)
    one.accept()
    one.visitor.do("say", one.asks, head[20:])
    one.asked = 1
    one.answer(len(head))
    (server,) = one.spans(SERVER)
    assert server.attributes.get(WAIT, 0) < LATE - TICKS
    assert ACCEPT not in server.attributes


@pytest.mark.guest
@pytest.mark.fast
def test_a_server_that_reads_late(talk: Callable[[], Talk]) -> None:
    """The same on a connection that is kept, where acknowledgements are delayed; and after that, no more."""
    one = talk()
    one.connect()
    one.accept()
    for late in (0, 0, 0, LATE, 0):
        length = one.ask()
        one.server.do("sleep", late)
        one.answer(length)
    waits = [span.attributes.get(WAIT, 0) for span in one.spans(SERVER)]
    assert waits[3] >= LATE - TICKS
    assert max(*waits[:3], waits[4]) < LATE - TICKS
    assert not [span for span in one.spans(SERVER) if ACCEPT in span.attributes]
    assert all(span.attributes[MIN_RTT] < LATE / 2 for span in one.spans(CLIENT))


@pytest.mark.guest
@pytest.mark.fast
def test_a_slow_application(talk: Callable[[], Talk]) -> None:
    """It shows in the time to the first byte, at both ends, and in neither of the others."""
    one = talk()
    one.connect()
    one.accept()
    for _ in range(3):
        one.answer(one.ask(), LATE)
    for span in (*one.spans(CLIENT), *one.spans(SERVER)):
        assert span.attributes[FIRST_BYTE] >= LATE
        assert span.attributes[RTT] < LATE / 2
        assert span.attributes[MIN_RTT] < LATE / 2
        assert span.attributes.get(WAIT, 0) < LATE - TICKS
        assert AGAIN not in span.attributes


@pytest.mark.guest
def test_connections_are_told_of_once(talk: Callable[[], Talk], traced: Traced) -> None:
    one = talk()
    for _ in range(3):
        one.connect()
        one.accept()
        one.answer(one.ask())
        one.answer(one.ask())
    first = [span.span_id for span in one.spans(CLIENT)][::2]
    assert [made.parent_id for made in one.children()] == first
    ledger = traced.agent.ledger()
    assert ledger["signal_connect_seen"] == ledger["signal_connect_span"] >= 3


@contextmanager
def losing(within: list[str], side: str, port: int) -> Iterator[None]:
    """Have every seventh segment from or to a port (`--sport`, `--dport`) not arrive."""
    lose = ["-p", "tcp", side, str(port), "-m", "statistic", "--mode", "nth"]
    lose += ["--every", "7", "--packet", "3", "-j", "DROP"]
    subprocess.run([*within, "iptables", "-I", "INPUT", *lose], check=True)
    try:
        yield
    finally:
        subprocess.run([*within, "iptables", "-D", "INPUT", *lose], check=True)


def test_a_network_that_loses_segments(talk: Callable[[], Talk], networks: Networks) -> None:
    """What was sent again of a large request is what the kernel says; before and after, none was."""
    one = talk()
    one.connect()
    one.accept()
    one.answer(one.ask())
    visitors, services = (networks.within(name) for name in (networks.visitors, networks.services))
    before = kernel_counter(visitors, "TcpRetransSegs")
    with losing(services, "--dport", one.port):
        length = one.ask(400_000)
        one.server.do("hear", one.serves, length)
    one.visitor.finish()
    one.server.do("say", one.serves, ANSWER)
    one.visitor.do("hear", one.asks, len(ANSWER))
    again = kernel_counter(visitors, "TcpRetransSegs") - before
    one.answer(one.ask())
    assert again > 0
    assert [span.attributes.get(AGAIN, 0) for span in one.spans(CLIENT)] == [0, again, 0]
    assert all(AGAIN not in span.attributes for span in one.spans(SERVER)), "it has sent nothing again"


def test_a_network_that_loses_segments_of_a_response(talk: Callable[[], Talk], networks: Networks) -> None:
    """The same of a server, whose last byte goes when all others have arrived; its client has none."""
    one = talk()
    one.connect()
    one.accept()
    one.answer(one.ask())
    visitors, services = (networks.within(name) for name in (networks.visitors, networks.services))
    length = one.ask()
    one.server.do("hear", one.serves, length)
    response = "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + "x" * 399_999
    before = kernel_counter(services, "TcpRetransSegs")
    with losing(visitors, "--sport", one.port):
        one.server.begin("say", one.serves, response)
        one.visitor.do("hear", one.asks, len(response))
    one.server.finish()
    one.server.do("say", one.serves, "x")
    one.visitor.do("hear", one.asks, 1)
    again = kernel_counter(services, "TcpRetransSegs") - before
    one.answer(one.ask())
    assert again > 0
    assert [span.attributes.get(AGAIN, 0) for span in one.spans(SERVER)] == [0, again, 0]
    assert all(AGAIN not in span.attributes for span in one.spans(CLIENT))


@pytest.mark.usefixtures("slow")
def test_round_trip_times_are_those_of_the_kernel(talk: Callable[[str], Talk], networks: Networks) -> None:
    """To the microsecond: what `ss` says of a client after an exchange, of a server before its response."""
    one = talk(SLOW_SERVICES)
    visitors, services = (networks.within(name) for name in (networks.visitors, networks.services))
    one.connect()
    one.accept()
    asked, served = [], []
    for _ in range(3):
        length = one.ask()
        one.server.do("hear", one.serves, length)  # which acknowledges the response before it
        served += socket_counters(services, one.port, local=True)
        one.server.do("say", one.serves, ANSWER)
        one.visitor.do("hear", one.asks, len(ANSWER))
        asked += socket_counters(visitors, one.port, local=False)
    for kind, shown in ((CLIENT, asked), (SERVER, served)):
        for span, there in zip(one.spans(kind), shown, strict=True):
            assert span.attributes[RTT] == pytest.approx(there["rtt"], abs=2e-6)
            assert span.attributes[MIN_RTT] == pytest.approx(there["min_rtt"], abs=2e-6)
    assert len({there["rtt"] for there in (*asked, *served)}) > 2, "they are not all the same"


def test_switched_off_nothing_is_told(start_agent: StartAgent, visitor: Puppet, server: Puppet) -> None:
    traced = start_agent(config={**OBSERVED, "traces": {"network": False}})
    one = Talk(traced, visitor, server, SERVICES)
    one.connect()
    one.accept()
    one.answer(one.ask())
    for span in (*one.spans(CLIENT), *one.spans(SERVER)):
        assert not [name for name in span.attributes if name.startswith("ebpf.")]
    assert not one.children()


def test_more_connections_than_there_is_room_for(
    start_agent: StartAgent, visitor: Puppet, server: Puppet
) -> None:
    """connects_full: they have no span; room comes back when they are closed."""
    room, number = 64, 200
    traced = start_agent(config={**OBSERVED, "capture": {"connections": room}})
    port = server.do("listen", SERVICES, free_port(), number)
    asked = visitor.do("connect", SERVICES, port, number)
    served = server.do("accept", number)
    reaches(traced, "connects_full", number - room)
    visitor.do("close", asked)
    server.do("end", served)
    server.do("close", served)
    one = Talk(traced, visitor, server, SERVICES)
    one.connect()
    one.accept()
    one.answer(one.ask())
    assert len(one.children()) == 1


def test_more_connections_that_are_accepted_late_than_there_is_room_for(start_agent: StartAgent) -> None:
    """connects_full: their clients have connected before the agent was there, and take no room."""
    room, number = 64, 200
    with Puppet() as server, ExitStack() as stack:
        port = server.do("listen", "127.0.0.1", free_port(), number)
        for _ in range(number):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET")
        traced = start_agent(config={**OBSERVED, "capture": {"connections": room}})
        before = traced.agent.ledger()["connects_full"]
        server.do("accept", number)
        assert traced.agent.ledger()["connects_full"] - before >= number - room, "at once: others connect too"
