"""The compose files: started as users do, with images of the same names that are made here.

Of Tempo and Grafana no program is to be had without their images: what is theirs compose alone has looked at,
and where Tempo would take traces, a receiver of the tests does.
"""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from integration.guest.run import CHECKOUT
from integration.harness import servers
from integration.harness.build import go_module
from integration.harness.compose import FILES, Host, host
from integration.harness.images import load_agent, make
from integration.harness.limits import DIES_WITH_US, wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.name_server import ADDRESS, name_server
from integration.harness.ports import free_port
from integration.harness.puppet import Puppet
from tests.dashboard import expressions

QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
AT_ONCE_LOST = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
"""As long as nobody takes traces, what does not fit in there."""
SENT = ("The agent", "What was sent")

SOON = 120
"""Seconds until what is started has started: several programs, and the agent among them."""

pytestmark = pytest.mark.timeout(1800)  # building the programs for the first time takes minutes


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    with host() as made:
        load_agent(made.daemon)
        yield made


def test_jaeger_shows_the_requests_of_a_service(machine: Host) -> None:
    program = go_module("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
    make(
        machine.daemon,
        "jaegertracing/jaeger:2.13.0",
        {"/jaeger": program},
        ["/jaeger"],
        JAEGER_LISTEN_HOST="0.0.0.0",
    )

    def names() -> list[str]:
        traces = machine.ask(16686, "/api/traces", service="shop")["data"] or []
        return [span["operationName"] for trace in traces for span in trace["spans"]]

    with servers.threaded("shop") as server, machine.up("jaeger.yaml", environment=QUICKLY):
        assert wait_until(lambda: _asked_and_seen(server.port, lambda: "GET /json" in names()), SOON)


def _asked_and_seen(port: int, seen: Callable[[], object]) -> bool:
    socket.getaddrinfo("localhost", port)
    drive(port, ["/json"])
    try:
        return bool(seen())
    except (AssertionError, ValueError):
        return False  # it is starting


def test_prometheus_answers_the_dashboard(machine: Host) -> None:
    """Each expression of each panel is asked for as Grafana does, and gives a number of what has happened."""
    prometheus = go_module(
        "prometheus", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/prometheus"
    )
    make(
        machine.daemon, "prom/prometheus:v3.16.0", {"/prometheus-server": prometheus}, ["/prometheus-server"]
    )
    pending = {(*panel, one) for panel, asked in expressions().items() for one in asked}
    sent = {one for one in pending if one[:2] == SENT}

    def shows(expression: str) -> bool:
        told = machine.ask(9090, "/api/v1/query", query=expression)
        assert told["status"] == "success", (expression, told)
        return any(float(one["value"][1]) > 0 for one in told["data"]["result"])

    def all_shown(but: Set[tuple[str, str, str]]) -> bool:
        pending.difference_update([one for one in pending if shows(one[2])])
        return pending <= but

    with (
        servers.threaded("shop") as server,
        machine.up("grafana.yaml", "otel-ebpf", "prometheus", environment={**QUICKLY, **AT_ONCE_LOST}),
        _misfortune(machine, server.port) as befall,
    ):

        def happens(but: Set[tuple[str, str, str]] = frozenset()) -> bool:
            befall()
            return _asked_and_seen(server.port, lambda: all_shown(but))

        assert wait_until(lambda: happens(but=sent), SOON, every=1), pending
        assert sent <= pending, "nobody has taken a span yet"
        program = CHECKOUT / "tests" / "otlp_receiver.py"
        receiver = [*machine.network.within, *DIES_WITH_US, sys.executable, str(program), "4317", "0"]
        with subprocess.Popen(receiver, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL):
            assert wait_until(happens, SOON, every=1), pending


@contextmanager
def _misfortune(machine: Host, port: int) -> Iterator[Callable[[], None]]:
    """Give what makes happen, each time, all that the dashboard has and that a healthy service does not do.

    A request to `port` is under way from one time to the next: the agent sees none that was before it.
    """
    refused, full, quick = free_port(), free_port(), free_port()
    with (
        name_server(within=machine.network) as resolving,
        Puppet(resolving.within()) as puppet,
        ExitStack() as under_way,
    ):
        puppet.do("listen", "127.0.0.1", full, 1)
        puppet.do("connect", "127.0.0.1", full, 2)
        puppet.do("listen", "127.0.0.1", quick, 16)

        def befall() -> None:
            under_way.close()
            asking = under_way.enter_context(socket.create_connection(("127.0.0.1", port)))
            asking.sendall(b"POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\n")
            drive(port, ["/status/500"])
            assert puppet.do("attempt", "127.0.0.1", full, 1.5) == "gave up"  # after a second SYN
            assert not puppet.do("look_up", "none.shop.test")
            puppet.do("ask_again", ADDRESS, f"once.{new_mark()}.test")
            assert puppet.do("attempt", "127.0.0.1", refused, 0) == str(errno.ECONNREFUSED)
            puppet.do("reset", puppet.do("connect", "127.0.0.1", quick, 1))
            puppet.do("close", puppet.do("accept", 1))

        yield befall


def test_files_that_are_mounted_are_there(machine: Host) -> None:
    for file in FILES.glob("*.yaml"):
        services = machine.config(file.name)["services"].values()
        sources = [volume.partition(":")[0] for service in services for volume in service.get("volumes", ())]
        assert all(Path(source).is_file() for source in sources if source.startswith("/")), sources
