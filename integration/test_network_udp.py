"""UDP as it arrives by OTLP, against what programs have sent and read, and the kernel's counts of drops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.fixtures import networks, server, visitor
from integration.harness.limits import wait_until
from integration.harness.network import SERVICES, Networks
from integration.harness.ports import free_port
from integration.harness.provoke import reaches
from integration.harness.puppet import OBSERVED, Puppet
from integration.harness.rungs import RUNGS
from integration.harness.tcp_counts import Told, kernel_counter, socket_drops

__all__ = ["networks", "server", "visitor"]

StartAgent = Callable[..., Traced]
OUT, IN = {"network__io__direction": "transmit"}, {"network__io__direction": "receive"}
FLOOD = 2_000


@pytest.fixture(scope="module", params=RUNGS)
def traced(request: pytest.FixtureRequest, networks: Networks) -> Iterator[Traced]:
    """By the payload's programs, or beside them."""
    with Backend() as backend, Agent(endpoint=backend.endpoint, rung=request.param, config=OBSERVED) as agent:
        yield Traced(agent, backend)


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    with Puppet() as made:
        yield made


def told_of(traced: Traced, puppet: Puppet) -> Told:
    return Told(traced.backend, puppet.service, "ebpf.udp.")


def test_bytes_that_programs_sent_and_read(traced: Traced, puppet: Puppet) -> None:
    """By the port of the side that has chosen one; what is only looked at, or cut off, is not read."""
    port = free_port()
    bound = puppet.do("datagrams", "127.0.0.1", port, 1)
    unbound, connected = puppet.do("datagrams", "127.0.0.1", 0, 1), puppet.do("datagrams", "::1", 0, 1)
    puppet.do("throw", unbound, "127.0.0.1", port, 100, 30)
    puppet.do("reach", connected, "::ffff:127.0.0.1", port)
    puppet.do("throw", connected, "", 0, 1_000, 7)
    puppet.do("throw_in_one", connected, 500, 5_000)
    assert puppet.do("catch", bound, 30, 60) == 30 * 60
    assert puppet.do("catch", bound, 17, 2_000) == 7_000 + 5_000
    puppet.do("throw", bound, "127.0.0.1", port, 0, 5)
    puppet.do("throw", bound, "127.0.0.1", port, 3, 2)
    told = told_of(traced, puppet)
    told.expect(7_000 + 5_000 + 6, "io", **OUT, server__port=port)
    told.expect(1_800 + 12_000, "io", **IN, server__port=port)
    told.expect(3_000 + 12_006, "io", **OUT)
    assert told.total("io", **IN) == 13_800
    (unnamed,) = (point for key, point in told.series("io").items() if "server.port" not in dict(key))
    assert unnamed.value == 3_000
    assert told.total("drops") == 0


@pytest.mark.fast
def test_drops(traced: Traced, networks: Networks, visitor: Puppet, server: Puppet) -> None:
    """Each once, of sockets that stay and of such as nobody has ever looked at."""
    services = networks.within(networks.services)
    port, before = free_port(), kernel_counter(services, "UdpRcvbufErrors")
    told = told_of(traced, server)
    sender = visitor.do("datagrams", "0.0.0.0", 0, 1)

    def flood() -> list[int]:
        bound: list[int] = server.do("datagrams", SERVICES, port, 1)
        server.do("hold_little", bound)
        visitor.do("throw", sender, SERVICES, port, 500, FLOOD)
        return bound

    stays = flood()
    for _ in range(2):
        dropped = socket_drops(services, port)
        assert dropped == kernel_counter(services, "UdpRcvbufErrors") - before > 0
        told.expect(dropped, "drops", server__port=port)
        visitor.do("throw", sender, SERVICES, port, 500, FLOOD)
    server.do("close", stays)
    for _ in range(5):
        server.do("close", flood())
    told.expect(kernel_counter(services, "UdpRcvbufErrors") - before, "drops", server__port=port)
    assert told.total("drops") == told.total("drops", server__port=port) > 5 * FLOOD / 2


def test_what_was_before_the_agent(
    start_agent: StartAgent, networks: Networks, visitor: Puppet, server: Puppet
) -> None:
    services, port = networks.within(networks.services), free_port()
    sender, bound = visitor.do("datagrams", "0.0.0.0", 0, 1), server.do("datagrams", SERVICES, port, 1)
    server.do("hold_little", bound)
    visitor.do("throw", sender, SERVICES, port, 500, FLOOD)
    assert socket_drops(services, port) > 0
    before = kernel_counter(services, "UdpRcvbufErrors")
    told = told_of(start_agent(config=OBSERVED), server)
    visitor.do("throw", sender, SERVICES, port, 500, FLOOD)
    assert wait_until(lambda: told.total("drops") > 0)
    server.do("close", bound)
    told.expect(kernel_counter(services, "UdpRcvbufErrors") - before, "drops")


def test_more_sockets_that_drop_than_are_remembered(
    start_agent: StartAgent, networks: Networks, visitor: Puppet, server: Puppet
) -> None:
    """udp_sockets_full: their drops are counted when they are closed."""
    room, number, first = 64, 100, 20_000
    services = networks.within(networks.services)
    traced = start_agent(config={**OBSERVED, "network": {"tcp": {"connections": room}}})
    before = kernel_counter(services, "UdpRcvbufErrors")
    bound = server.do("datagrams", SERVICES, first, number)
    server.do("hold_little", bound)
    sender = visitor.do("datagrams", "0.0.0.0", 0, 1)
    for _ in range(20):
        visitor.do("throw_at_each", sender, SERVICES, first, 500, number)
    reaches(traced, "udp_sockets_full", number - room)
    dropped = kernel_counter(services, "UdpRcvbufErrors") - before
    told = told_of(traced, server)
    assert told.total("drops") < dropped
    server.do("close", bound)
    told.expect(dropped, "drops")


@pytest.mark.parametrize("how", ["excluded", "switched off", "by port"])
def test_what_is_not_wanted(start_agent: StartAgent, puppet: Puppet, how: str) -> None:
    """Of one of two services of a host nothing is told."""
    port, other = free_port(), free_port()
    config: dict[str, Any] = {
        "excluded": {"discovery": {**OBSERVED["discovery"], "exclude": [{"pids": [puppet.pid]}]}},
        "switched off": {**OBSERVED, "network": {"udp": False}},
        "by port": {"discovery": {"include": [{"ports": [other]}]}},
    }[how]
    with Puppet() as another:
        traced = start_agent(config=config)
        for one, its in ((puppet, port), (another, other)):
            bound = one.do("datagrams", "127.0.0.1", its, 1)
            one.do("hold_little", bound)
            one.do("throw", bound, "127.0.0.1", its, 500, FLOOD)
            one.do("close", bound)
        told = told_of(traced, another)
        if how == "switched off":
            reaches(traced, "export_points_passed", 20)
            assert not told.series("io")
            assert not told.series("drops")
            return
        told.expect(500 * FLOOD, "io", **OUT)
        assert wait_until(lambda: told.total("drops") > 0)
        assert not any(told_of(traced, puppet).series(name) for name in ("io", "drops"))
