"""Settings of some processes: servers with opposite ones, observed by one agent, and how they change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from threading import Event, Thread
from typing import Any

from integration.conftest import Traced
from integration.harness.build import CLIENTS
from integration.harness.certificates import certificates
from integration.harness.limits import wait_until
from integration.harness.measured import ask, connect, drive, new_mark, run_client
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server, threaded
from integration.harness.spans import SERVER, describe
from integration.harness.tls_servers import TLS_SERVERS

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # all of it is settled in user space, or by discovery's own ways
REQUESTS = 4
NAMES = ("plain", "quiet", "uncounted", "unsampled", "choosy", "routed")
CLIENT = "requests_client"
DURATION, ACTIVE = "http.server.request.duration", "http.server.active_requests"
SAMPLED_PARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


def _entry(service: str, **settings: Any) -> dict[str, Any]:
    return {"match": {"service": service}, **settings}


def _config(servers: dict[str, Server], *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "discovery": {"include": [{"ports": [server.port for server in servers.values()]}]},
        "routes": {"rules": [{"patterns": ["/json"]}]},
        "overrides": list(entries),
        **more,
    }


@contextmanager
def _servers(*names: str) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(threaded(name)) for name in names}


def _counted(traced: Traced, service: str) -> int:
    """Requests in the newest histograms of a service."""
    return traced.backend.histogram_count(DURATION, lambda one: one.resource.get("service.name") == service)


def _measured(traced: Traced) -> set[tuple[str, str]]:
    """Services and the metrics of their requests, in what comes from now on."""
    traced.backend.receiver.clear()
    traced.backend.forget()
    assert wait_until(lambda: len(traced.backend.receiver.metrics("ebpf.ledger.records")) >= 3)
    return {
        (str(metric.resource.get("service.name")), name)
        for name in (DURATION, ACTIVE)
        for metric in traced.backend.receiver.metrics(name)
        if metric.points
    }


def _expect(traced: Traced, servers: dict[str, Server], routes: dict[str, list[str]], **asked: Any) -> None:
    """Ask each server a few times; its spans must have these routes, and those without any no spans."""
    mark = new_mark()
    for name, server in servers.items():
        drive(server.port, ["/json"] * REQUESTS, mark=f"{mark}-{name}", **asked)
    wait_until(lambda: len(traced.backend.marked(mark, SERVER)) >= sum(map(len, routes.values())))
    seen = [span for span in traced.backend.settled(mark) if span.kind == SERVER]
    found = {
        name: [str(span.attributes.get("http.route")) for span in seen if span.port == server.port]
        for name, server in servers.items()
    }
    assert found == routes, describe(seen)


@contextmanager
def _slowly(*servers: Server) -> Iterator[None]:
    """Have requests open at each of them all the time, or nearly."""
    stop = Event()

    def go_on(server: Server) -> None:
        while not stop.is_set():
            drive(server.port, ["/slow"] * 5)

    asking = [Thread(target=go_on, args=(server,)) for server in servers]
    for thread in asking:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in asking:
            thread.join()


GIVEN = (
    _entry("quiet", traces=False),
    _entry("uncounted", metrics=False),
    _entry("unsampled", sampler="traceidratio", sampler_arg=0),
    _entry("choosy", sampler="parentbased_always_off"),
    _entry("routed", routes=[{"patterns": ["/{anything}"]}]),
    # What an entry above has given stays.
    _entry("*ed", traces=True, metrics=True, routes=[{"patterns": ["/late"]}]),
)
SWAPPED = (
    _entry("quiet", metrics=False),
    _entry("uncounted", traces=False),
    *GIVEN[2:4],
    _entry("plain", routes=[{"patterns": ["/{anything}"]}]),
)
KEPT = {
    "plain": ["/json"] * REQUESTS,
    "quiet": [],
    "uncounted": ["/json"] * REQUESTS,
    "unsampled": [],
    "choosy": [],
    "routed": ["/{anything}"] * REQUESTS,
}
KEPT_SWAPPED = KEPT | {
    "plain": KEPT["routed"],
    "quiet": KEPT["plain"],
    "uncounted": [],
    "routed": KEPT["plain"],
}


def test_each_service_has_its_own(start_agent: StartAgent) -> None:
    """Spans, metrics, samplers and routes; then two are swapped, and a broken file changes nothing."""
    with _servers(*NAMES) as servers, ExitStack() as stack:
        traced = start_agent(RUNG, config=_config(servers, *GIVEN), environment={"OTEL_LOG_LEVEL": "info"})
        open_before = stack.enter_context(closing(connect(servers["uncounted"].port)))
        _expect(traced, servers, KEPT)
        _expect(traced, servers, KEPT | {"choosy": KEPT["plain"]}, headers=SAMPLED_PARENT)
        others = set(NAMES) - {"uncounted"}
        assert wait_until(lambda: all(_counted(traced, name) == 2 * REQUESTS for name in others))
        with _slowly(servers["uncounted"], servers["plain"]):
            assert wait_until(lambda: ("plain", ACTIVE) in _measured(traced))
            assert {name for name, _ in _measured(traced)} == others

        traced.agent.reconfigure(_config(servers, *SWAPPED))
        assert wait_until(lambda: "has been read again" in traced.agent.log, every=0.1)
        _expect(traced, servers, KEPT_SWAPPED)
        others = set(NAMES) - {"quiet"}
        assert wait_until(lambda: {name for name, _ in _measured(traced)} == others, every=0.1)
        assert wait_until(lambda: _counted(traced, "uncounted") == REQUESTS), "counts begin anew"

        text = "overrides: [{match: {service: quiet, ports: [80]}, traces: true}]"
        traced.agent.reconfigure(text)
        assert wait_until(lambda: "the configuration stays as it was" in traced.agent.log)
        assert "overrides[0].match.ports: settings are those of a process" in traced.agent.log
        _expect(traced, servers, KEPT_SWAPPED)
        mark = new_mark()
        ask(open_before, ["/json"] * REQUESTS, mark=mark)
        assert not [span for span in traced.backend.settled(mark) if span.kind == SERVER]
        assert {name for name, _ in _measured(traced)} == others
        ledger = traced.agent.ledger()
        outcomes = ("signal_span", "signal_unsampled", "signal_spans_off", "signal_role_unknown")
        assert ledger["signal_seen"] == sum(ledger[name] for name in outcomes)
        assert not ledger["signal_failed"]


def _client(server: Server) -> str:
    """Ask by a name, which is looked up, and over a connection of its own."""
    mark = new_mark()
    url = f"http://localhost:{server.port}/json"
    run_client([sys.executable, CLIENTS / "requests_client.py"], url, mark, 1, "GET")
    return mark


def test_no_span_of_any_kind(start_agent: StartAgent) -> None:
    """Of a client without traces: none of its request, its lookup and its connection; then all of them."""
    with _servers("plain") as servers:
        who = {"command_line": "*requests_client.py*"}
        config = _config(servers, {"match": who, "traces": False})
        config["discovery"]["include"].append(who)  # its lookups have no port of the server's
        traced = start_agent(RUNG, config=config, environment={"OTEL_LOG_LEVEL": "info"})

        def names_of(mark: str) -> set[str]:
            traced.backend.expect(1, port=servers["plain"].port, kind=SERVER, mark=mark)
            traced.backend.settled(mark)
            return {span.name.partition(" ")[0] for span in traced.backend.spans() if span.service == CLIENT}

        assert names_of(_client(servers["plain"])) == set()
        assert wait_until(lambda: _clients_counted(traced) == 1), "its metrics go on"
        traced.agent.reconfigure({**config, "overrides": []})
        assert wait_until(lambda: "has been read again" in traced.agent.log, every=0.1)
        assert names_of(_client(servers["plain"])) == {"GET", "DNS", "socket"}


def _clients_counted(traced: Traced) -> int:
    name = "http.client.request.duration"
    return traced.backend.histogram_count(name, lambda one: one.resource.get("service.name") == CLIENT)


def test_tls(start_agent: StartAgent) -> None:
    """One whose TLS is not read, and one whose is, though all of that name are excluded; then the reverse."""
    context = certificates().client_context()
    with TLS_SERVERS["threaded_tls"]() as first, TLS_SERVERS["threaded_tls"]() as second:
        servers = {"first": first, "second": second}

        def entry(server: Server, **settings: Any) -> dict[str, Any]:
            return {"match": {"command_line": f"*threaded.py {server.port} *"}, **settings}

        def expect(*read: str) -> None:
            routes = {name: ["/json"] * REQUESTS if name in read else [] for name in servers}
            _expect(traced, servers, routes, tls=context)

        excluded = {"exclude_services": ["threaded"]}
        config = _config(servers, entry(first, tls=False), entry(second, tls=True), tls=excluded)
        traced = start_agent(RUNG, config=config, environment={"OTEL_LOG_LEVEL": "info"})
        expect("second")

        def is_not_even_taken() -> bool:  # others on this host may add to the same entry
            before = traced.agent.ledger()["protocol_discovery"]
            expect("second")
            return traced.agent.ledger()["protocol_discovery"] == before

        assert wait_until(is_not_even_taken), "the kernel does not know whose plaintext is left out"
        traced.agent.reconfigure(_config(servers, entry(first, tls=True), tls=excluded))
        assert wait_until(lambda: "has been read again" in traced.agent.log, every=0.1)
        expect("first")


def test_one_alone_is_traced(start_agent: StartAgent) -> None:
    """Where traces, metrics and TLS are off for all, an entry switches them on for what it matches."""
    off = {name: {"enabled": False} for name in ("traces", "metrics", "tls")}
    context = certificates().client_context()
    with _servers("plain", "routed") as servers, TLS_SERVERS["threaded_tls"]() as private:
        config = _config(
            {**servers, "private": private},
            _entry("routed", traces=True, metrics=True),
            _entry("threaded", traces=True, tls=True),
            **off,
        )
        traced = start_agent(RUNG, config=config, environment={"OTEL_LOG_LEVEL": "info"})
        _expect(traced, servers, {"plain": [], "routed": KEPT["plain"]})
        mark = new_mark()
        drive(private.port, ["/json"] * REQUESTS, mark=mark, tls=context)
        traced.backend.expect(REQUESTS, port=private.port, kind=SERVER, mark=mark)
        assert wait_until(lambda: _counted(traced, "routed") == REQUESTS)
        assert {name for name, _ in _measured(traced)} == {"routed"}
        ours = {metric.name for metric in traced.backend.receiver.metrics() if metric.points}
        assert not {name for name in ours if name.startswith(("ebpf.tcp.", "ebpf.udp.", "dns."))}
        traced.agent.reconfigure(_config(servers, **off))
        assert wait_until(lambda: "has been read again" in traced.agent.log, every=0.1)
        _expect(traced, servers, {"plain": [], "routed": []})
