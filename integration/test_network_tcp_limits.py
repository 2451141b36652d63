"""TCP's health where there is no room, and where none is wanted: all that is left out is counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.limits import slack, wait_until
from integration.harness.ports import free_port
from integration.harness.provoke import reaches
from integration.harness.puppet import OBSERVED, Puppet
from integration.harness.tcp_counts import Told

StartAgent = Callable[..., Traced]
SELDOM = {"OTEL_METRIC_EXPORT_INTERVAL": "300000"}
OVERFLOW = {"otel__metric__overflow": True}


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    with Puppet() as made:
        yield made


def limited(**limits: int) -> dict[str, Any]:
    return {**OBSERVED, "network": {"tcp": limits}}


def test_more_peers_than_there_is_room_for(start_agent: StartAgent, puppet: Puppet) -> None:
    """tcp_peer_limit: every connection and byte is told of once, of some peers by one series for all."""
    traced = start_agent(config=limited(peers=16), environment={"OTEL_METRIC_EXPORT_INTERVAL": "3000"})
    port = puppet.do("listen", "0.0.0.0", free_port(), 16)
    puppet.do("visit_each", port, 400)
    told = Told(traced.backend, puppet.service)
    reaches(traced, "tcp_peer_limit", 1)
    told.expect(800, "connection.duration")  # both ends
    told.expect(400, "connect.duration")
    assert told.total("connection.duration", **OVERFLOW) > 0
    told.expect(800, "io")
    assert traced.agent.ledger()["tcp_peers_full"] == 0


def test_more_series_than_are_allowed(start_agent: StartAgent, puppet: Puppet) -> None:
    """What user space has no room for is one series too."""
    config = {**OBSERVED, "metrics": {"series_limit": 10}}
    traced = start_agent(config=config)
    port = puppet.do("listen", "0.0.0.0", free_port(), 16)
    puppet.do("visit_each", port, 40)
    told = Told(traced.backend, puppet.service)
    told.expect(40, "connect.duration")
    assert len(told.series("connect.duration")) == 10
    assert told.total("connect.duration", **OVERFLOW) == 31
    assert traced.agent.ledger()["tcp_peer_limit"] == 0


def test_more_sockets_than_there_is_room_for(start_agent: StartAgent, puppet: Puppet) -> None:
    """tcp_sockets_full: one for each end of a connection that is not told of."""
    room, number = 2048, 1200  # for all of the host
    traced = start_agent(config=limited(connections=room))
    port = puppet.do("listen", "0.0.0.0", free_port(), number)
    asked = puppet.do("connect", "127.0.0.1", port, number)
    served = puppet.do("accept", number)
    reaches(traced, "tcp_sockets_full", 2 * number - room)
    puppet.do("close", asked)
    puppet.do("end", served)
    puppet.do("close", served)
    told = Told(traced.backend, puppet.service)
    assert wait_until(lambda: told.total("connection.duration") > 0)
    assert told.total("connection.duration") <= room


def test_more_processes_with_too_many_peers(start_agent: StartAgent, puppet: Puppet) -> None:
    """tcp_peers_full: not even what is over has room."""
    traced = start_agent(config=limited(peers=16), environment=SELDOM)
    port = puppet.do("listen", "127.0.0.1", free_port(), 16)
    puppet.do("fork_each", port, 700)
    reaches(traced, "tcp_peers_full", 1)


def test_role_that_tcp_does_not_tell(start_agent: StartAgent, puppet: Puppet) -> None:
    """tcp_role_unknown: a restored socket from before the agent is left alone, its other end is not."""
    port = puppet.do("listen", "127.0.0.1", free_port(), 16)
    asked, served = puppet.do("connect", "127.0.0.1", port, 1), puppet.do("accept", 1)
    puppet.do("restore", asked, 100)
    traced = start_agent(config=OBSERVED)
    reaches(traced, "tcp_role_unknown", 1)
    told = Told(traced.backend, puppet.service)
    told.expect_open(1, role="server")
    puppet.do("send", asked, 10)
    puppet.do("receive", served, 10)
    told.expect(10, "io", network__io__direction="receive")
    assert told.total("io", network__io__direction="transmit") == 0
    assert traced.agent.ledger()["tcp_role_unknown"] == 1


@pytest.mark.parametrize("how", ["excluded", "switched off", "by port"])
def test_what_is_not_wanted(start_agent: StartAgent, puppet: Puppet, how: str) -> None:
    """Of one of two services of a host nothing is told."""
    port, other = free_port(), free_port()
    config: dict[str, Any] = {
        "excluded": {"discovery": {**OBSERVED["discovery"], "exclude": [{"pids": [puppet.pid]}]}},
        "switched off": {**OBSERVED, "network": {"tcp": {"enabled": False}}},
        "by port": {"discovery": {"include": [{"ports": [other]}]}},
    }[how]
    with Puppet() as another:
        traced = start_agent(config=config)
        for one, its in ((puppet, port), (another, other)):
            one.do("listen", "127.0.0.1", its, 16)
            asked, served = one.do("connect", "127.0.0.1", its, 2), one.do("accept", 2)
            one.do("send", asked, 100)
            one.do("receive", served, 100)
            one.do("close", asked)
            one.do("close", served)
        if how == "switched off":
            time.sleep(slack(2))
            assert not traced.backend.receiver.metrics("ebpf.tcp.io")
            return
        Told(traced.backend, another.service).expect(4, "connection.duration")
        names = ("io", "connect.duration", "connection.duration", "connection.active", "rtt")
        assert not any(Told(traced.backend, puppet.service).series(name) for name in names)


def test_own_exports_are_not_told_of_their_receiver(start_agent: StartAgent) -> None:
    """The receiver is this process; what others send it counts, what the agent does does not."""
    traced = start_agent(config={"discovery": {"include": [{"pids": [os.getpid()]}]}})
    reaches(traced, "export_points_passed", 20)
    reaches(traced, "event_self", 3)
    port = int(traced.backend.endpoint.rpartition(":")[2])
    for name in ("io", "connection.active", "rtt"):
        for metric in traced.backend.receiver.metrics(f"ebpf.tcp.{name}"):
            assert port not in {point.attributes.get("server.port") for point in metric.points}


def test_delta_temporality(start_agent: StartAgent, puppet: Puppet) -> None:
    """Each point says what is new, and their sum is the whole."""
    traced = start_agent(
        config=OBSERVED, environment={"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    )
    port = puppet.do("listen", "127.0.0.1", free_port(), 16)
    asked, served = puppet.do("connect", "127.0.0.1", port, 2), puppet.do("accept", 2)

    def received() -> list[float]:
        return [
            point.value
            for metric in traced.backend.receiver.metrics("ebpf.tcp.io")
            for point in metric.points
            if point.attributes["network.io.direction"] == "receive"
        ]

    for length in (300, 50):
        before = sum(received())
        puppet.do("send", asked, length)
        puppet.do("receive", served, length)
        assert wait_until(lambda due=before + 2 * length: sum(received()) >= due)  # type: ignore[misc]
    assert sum(received()) == 700
    assert max(received()) <= 600
