"""TCP's health as it arrives by OTLP, against what the kernel says of it."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.build import PROGRAMS
from integration.harness.fixtures import networks, server, visitor
from integration.harness.limits import wait_until
from integration.harness.network import SERVICES, SERVICES_6, VISITORS, VISITORS_6, Networks
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.puppet import OBSERVED, Puppet
from integration.harness.tcp_counts import Told, kernel_counter, socket_counters

__all__ = ["networks", "server", "visitor"]

OUT, IN = {"network__io__direction": "transmit"}, {"network__io__direction": "receive"}


@pytest.fixture(scope="module")
def traced(networks: Networks) -> Iterator[Traced]:
    with Backend() as backend, Agent(endpoint=backend.endpoint, config=OBSERVED) as agent:
        yield Traced(agent, backend)


def run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def pair(
    visitor: Puppet, server: Puppet, address: str, port: int, number: int
) -> tuple[list[int], list[int]]:
    asked = visitor.do("connect", address, port, number)
    return asked, server.do("accept", number)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("bound", "called", "visitor_is"),
    [
        (SERVICES, SERVICES, VISITORS),
        (SERVICES_6, SERVICES_6, VISITORS_6),
        ("::", SERVICES, VISITORS),
        ("::", f"::ffff:{SERVICES}", VISITORS),
    ],
    ids=["IPv4", "IPv6", "IPv4 taken by IPv6", "IPv4 from IPv6 to IPv6"],
)
def test_connections_and_their_bytes(
    traced: Traced,
    networks: Networks,
    visitor: Puppet,
    server: Puppet,
    bound: str,
    called: str,
    visitor_is: str,
) -> None:
    """Both ends: how many are open, what has passed, how long connecting and the whole took."""
    within = [networks.within(one) for one in (networks.visitors, networks.services)]
    before = [kernel_counter(one, "TcpRetransSegs") for one in within]
    port = server.do("listen", bound, free_port(), 16)
    asked, served = pair(visitor, server, called, port, 5)
    visitor.do("send", asked, 70_000)
    server.do("receive", served, 70_000)
    server.do("send", served, 3_000)
    visitor.do("receive", asked, 3_000)
    to = {"network__peer__address": called.removeprefix("::ffff:"), "server__port": port}
    by = {"network__peer__address": visitor_is, "server__port": port}
    client, host = Told(traced.backend, visitor.service), Told(traced.backend, server.service)
    client.expect_open(5, role="client", **to)
    host.expect_open(5, role="server", **by)
    shown = socket_counters(within[0], port, local=False)
    assert sum(one["bytes_sent"] - one.get("bytes_retrans", 0) for one in shown) == 5 * 70_000
    client.expect(5 * 70_000, "io", **OUT, **to)
    client.expect(sum(one["bytes_received"] for one in shown), "io", **IN, **to)
    host.expect(5 * 70_000, "io", **IN, **by)
    host.expect(5 * 3_000, "io", **OUT, **by)
    client.expect(5, "connect.duration", **to)
    assert host.total("connect.duration") == 0
    rtts = [one["rtt"] for one in shown]
    low, high = min(rtts), max(rtts)
    (rtt,) = client.series("rtt").values()
    assert rtt.min <= low + 1e-6
    assert rtt.max >= high - 1e-6
    visitor.do("close", asked)
    server.do("end", served)
    server.do("close", served)
    for told, peer, there, earlier in ((client, to, within[0], before[0]), (host, by, within[1], before[1])):
        told.expect(5, "connection.duration", **peer)
        told.expect_open(0)
        assert told.total("io") == 5 * 73_000
        assert told.total("resets") + told.total("connect.failures") == 0
        assert told.total("retransmits") == kernel_counter(there, "TcpRetransSegs") - earlier


def test_attempts_that_fail(traced: Traced, networks: Networks, visitor: Puppet) -> None:
    """Refused, unreachable by what a router says, timed out, and given up by the program.

    A reset that answers a SYN is a refusal, whoever sends it: TCP has ECONNREFUSED of it (tcp_reset()).
    """
    refused, no_host, no_net, silent, reset, no_port, no_protocol, closed = (free_port() for _ in range(8))
    reject = ("-j", "REJECT", "--reject-with")
    rules = {
        no_host: (*reject, "icmp-host-unreachable"),
        no_net: (*reject, "icmp-net-unreachable"),
        silent: ("-j", "DROP"),
        reset: (*reject, "tcp-reset"),
        no_port: (*reject, "icmp-port-unreachable"),
        no_protocol: (*reject, "icmp-proto-unreachable"),
        closed: (*reject, "icmp-admin-prohibited"),
    }
    services, visitors = (networks.within(one) for one in (networks.services, networks.visitors))
    for port, rule in rules.items():
        run(*services, "iptables", "-A", "INPUT", "-p", "tcp", "--dport", str(port), *rule)
    run(*visitors, "sysctl", "-qw", "net.ipv4.tcp_syn_retries=1")
    before = kernel_counter(visitors, "TcpRetransSegs")
    for _ in range(3):
        visitor.do("attempt", SERVICES, refused, 0)
        visitor.do("attempt", SERVICES_6, refused, 0)
        visitor.do("attempt", SERVICES, no_host, 0)
    for port in (no_net, reset, no_port, no_protocol, closed):
        visitor.do("attempt", SERVICES, port, 0)
    assert visitor.do("attempt", SERVICES, silent, 0) == "ETIMEDOUT"
    assert visitor.do("attempt", SERVICES, silent, 0.2) == "gave up"
    told = Told(traced.backend, visitor.service)
    for port, address, error, number in (
        (refused, SERVICES, "connection_refused", 3),
        (refused, SERVICES_6, "connection_refused", 3),
        (no_host, SERVICES, "host_unreachable", 3),
        (no_net, SERVICES, "network_unreachable", 1),
        (reset, SERVICES, "connection_refused", 1),
        (no_port, SERVICES, "connection_refused", 1),
        (no_protocol, SERVICES, "_OTHER", 1),
        (closed, SERVICES, "host_unreachable", 1),
        (silent, SERVICES, "timeout", 1),
        (silent, SERVICES, "connection_aborted", 1),
    ):
        series = {"network__peer__address": address, "server__port": port, "error__type": error}
        told.expect(number, "connect.failures", **series)
        told.expect(number, "connect.duration", **series)
    assert told.total("connect.failures") == told.total("connect.duration") == 16
    again = kernel_counter(visitors, "TcpRetransSegs") - before
    assert again > 0
    told.expect(again, "retransmits")
    assert told.total("resets") + told.total("connection.active") + told.total("connection.duration") == 0
    (waited,) = (
        one for key, one in told.series("connect.duration").items() if ("error.type", "timeout") in key
    )
    assert waited.min > 1


def test_an_attempt_that_is_reset(traced: Traced, networks: Networks, visitor: Puppet) -> None:
    """Once the other end has connected at the same time: before, it would be refused, after that, reset."""
    port, services = free_port(), networks.within(networks.services)
    silenced = ("-p", "tcp", "--sport", str(port), "-m", "mark", "!", "--mark", "7", "-j", "DROP")
    run(*services, "iptables", "-A", "OUTPUT", *silenced)
    crossing = [sys.executable, PROGRAMS / "network" / "crossing_syn.py", SERVICES, str(port)]
    with Program([*services, *crossing]) as program:
        assert wait_until(lambda: "ready" in program.log), program.log
        assert visitor.do("attempt", SERVICES, port, 0) == str(errno.ECONNRESET)
    told = Told(traced.backend, visitor.service)
    series = {"network__peer__address": SERVICES, "server__port": port, "error__type": "connection_reset"}
    told.expect(1, "connect.failures", **series)
    told.expect(1, "connect.duration", **series)
    assert told.total("connection.active") + told.total("connection.duration") == 0


def test_resets(traced: Traced, visitor: Puppet, server: Puppet) -> None:
    """Sent by a server that wants no more, and by a client that closes without having read."""
    port = server.do("listen", SERVICES, free_port(), 16)
    client, host = Told(traced.backend, visitor.service), Told(traced.backend, server.service)
    asked, served = pair(visitor, server, SERVICES, port, 4)
    server.do("reset", served)
    visitor.do("end", asked)
    client.expect(4, "resets", **IN, network__peer__address=SERVICES, server__port=port)
    host.expect(4, "resets", **OUT, network__peer__address=VISITORS, server__port=port)
    visitor.do("close", asked)
    asked, served = pair(visitor, server, SERVICES, port, 3)
    server.do("send", served, 100)
    visitor.begin("receive", asked, 1)
    visitor.finish()
    visitor.do("close", asked)
    server.do("end", served)
    client.expect(3, "resets", **OUT)
    host.expect(3, "resets", **IN)
    server.do("close", served)
    assert client.total("resets") == host.total("resets") == 7
    client.expect(7, "connection.duration")
    host.expect(7, "connection.duration")


def test_loss(traced: Traced, networks: Networks, visitor: Puppet, server: Puppet) -> None:
    """Every seventh segment is dropped on the way: what was sent again is what the kernel says."""
    port = server.do("listen", SERVICES, free_port(), 16)
    visitors, services = (networks.within(one) for one in (networks.visitors, networks.services))
    asked, served = pair(visitor, server, SERVICES, port, 2)
    lose = ["-p", "tcp", "--dport", str(port), "-m", "statistic", "--mode", "nth"]
    lose += ["--every", "7", "--packet", "3", "-j", "DROP"]
    before = kernel_counter(visitors, "TcpRetransSegs")
    run(*services, "iptables", "-I", "INPUT", *lose)
    visitor.begin("send", asked, 400_000)
    server.do("receive", served, 400_000)
    visitor.finish()
    run(*services, "iptables", "-D", "INPUT", *lose)
    server.do("send", served, 1)
    visitor.do("receive", asked, 1)
    again = kernel_counter(visitors, "TcpRetransSegs") - before
    shown = socket_counters(visitors, port, local=False)
    assert sum(one["retrans"] for one in shown) == again > 0
    client, host = Told(traced.backend, visitor.service), Told(traced.backend, server.service)
    client.expect(again, "retransmits", network__peer__address=SERVICES, server__port=port)
    client.expect(800_000, "io", **OUT)
    host.expect(800_000, "io", **IN)
    visitor.do("close", asked)
    server.do("end", served)
    server.do("close", served)
    client.expect(2, "connection.duration")
    assert client.total("retransmits") == kernel_counter(visitors, "TcpRetransSegs") - before
    assert client.total("io", **OUT) == 800_000


def test_full_queue_of_a_listening_socket(
    traced: Traced, networks: Networks, visitor: Puppet, server: Puppet
) -> None:
    """Turned away, by the kernel's own count of the namespace."""
    services = networks.within(networks.services)
    port = server.do("listen", SERVICES, free_port(), 1)
    visitor.do("connect", SERVICES, port, 2)
    before = [kernel_counter(services, name) for name in ("TcpExtListenDrops", "TcpExtListenOverflows")]
    for _ in range(4):
        assert visitor.do("attempt", SERVICES, port, 0.2) == "gave up"
    drops, overflows = (
        kernel_counter(services, name) - one
        for name, one in zip(("TcpExtListenDrops", "TcpExtListenOverflows"), before, strict=True)
    )
    assert drops == overflows >= 4
    told = Told(traced.backend, server.service)
    told.expect(drops, "listen.overflows", server__port=port)
    assert told.total("listen.overflows") == drops


def test_connections_older_than_the_agent(
    start_agent: Callable[..., Traced], networks: Networks, visitor: Puppet, server: Puppet
) -> None:
    """Told from the agent's start on: their role, their bytes since then, their end without a duration."""
    port = server.do("listen", "::", free_port(), 1)
    asked, served = pair(visitor, server, SERVICES, port, 2)
    visitor.do("send", asked, 5_000)
    server.do("receive", served, 5_000)
    traced = start_agent(config=OBSERVED)
    client, host = Told(traced.backend, visitor.service), Told(traced.backend, server.service)
    client.expect_open(2, role="client", network__peer__address=SERVICES, server__port=port)
    host.expect_open(2, role="server", network__peer__address=VISITORS, server__port=port)
    assert client.total("io") + host.total("io") == 0
    visitor.do("send", asked, 700)
    server.do("receive", served, 700)
    client.expect(1_400, "io", **OUT)
    host.expect(1_400, "io", **IN)
    visitor.do("close", asked[:1])
    server.do("end", served[:1])
    client.expect_open(1)
    assert client.total("connection.duration") + host.total("connection.duration") == 0
    visitor.do("connect", SERVICES, port, 2)
    visitor.do("attempt", SERVICES, port, 0.2)
    host.expect(1, "listen.overflows", server__port=port)
    visitor.do("reset", asked[1:])
    server.do("end", served[1:])
    server.do("close", served)
    host.expect(1, "resets", **IN)
    assert host.total("io", **IN) == 1_400


def test_connections_that_nobody_has_used(traced: Traced, visitor: Puppet, server: Puppet) -> None:
    """Over before the server has accepted them, or ended with its queue: the server's all the same."""
    port = server.do("listen", SERVICES, free_port(), 16)
    client, host = Told(traced.backend, visitor.service), Told(traced.backend, server.service)
    asked = visitor.do("connect", SERVICES, port, 3)
    visitor.do("reset", asked)
    client.expect(3, "resets", **OUT)
    server.do("close", server.do("accept", 3))
    host.expect(3, "resets", **IN)
    host.expect(3, "connection.duration", network__peer__address=VISITORS, server__port=port)
    waiting = visitor.do("connect", SERVICES, port, 2)
    client.expect_open(2)
    assert host.total("connection.active") == 0
    server.do("hang_up")
    visitor.do("end", waiting)
    host.expect(5, "connection.duration")
    client.expect(2, "resets", **IN)
