"""Signals, spans: what is different of an HTTP call over TLS, and of one whose socket is not known."""

from __future__ import annotations

import pytest
from signals_support import (
    CLIENT,
    NO_SOCKET,
    SERVER,
    SHOP,
    attributes,
    call,
    record,
    span_of,
    spans,
    tls,
    value,
)

from otel_ebpf.kernel.records import Capture
from otel_ebpf.signals.http import HttpSpans
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.routes import Routes

TLS = int(Capture.TLS)


def test_tls_is_https() -> None:
    assert attributes(span_of(call(of=record(flags=int(Capture.TLS)))))["url.scheme"] == "https"


@pytest.mark.parametrize("role", [CLIENT, SERVER])
def test_what_the_tls_handshake_settled(role: int) -> None:
    plain = attributes(span_of(call(of=record(role=role, flags=TLS))))
    settled = attributes(span_of(call(of=record(role=role, flags=TLS, tls=tls(resumed=2)))))
    assert settled == plain | {
        "tls.protocol.version": "1.3",
        "tls.cipher": "TLS_AES_256_GCM_SHA384",
        "tls.next_protocol": "http/1.1",
        "tls.resumed": True,
    }
    assert not [name for name in plain if name.startswith("tls.")], "what was not seen is left out"


def test_plans_are_of_connections_with_the_same_facts_and_series_are_not() -> None:
    maker, of = spans(), record(flags=TLS, tls=tls(resumed=1))
    plan = maker.plan(call(of=of), SHOP)
    assert plan.settled
    assert maker.plan(call(of=of._replace(flags=int(Capture.TLS | Capture.FIRST))), SHOP) is plan
    resumed = maker.plan(call(of=of._replace(tls=tls(resumed=2))), SHOP)
    assert resumed is not plan
    assert resumed.shape is plan.shape
    assert maker.plan(call(of=of._replace(flags=0)), SHOP).shape is not plan.shape


def test_facts_of_plaintext_are_not_looked_at() -> None:
    maker, of = spans(), record()
    plan = maker.plan(call(of=of), SHOP)
    assert maker.plan(call(of=of._replace(tls=tls())), SHOP) is plan


def named(name: str, told: list[int] | None = None) -> HttpSpans:
    """Spans where the client of connection 77 asked for `name` in its handshake."""
    names = {77 << 2 | CLIENT: name}
    return HttpSpans(
        Routes(), Redaction(), lambda: (told if told is not None else []).append(1), server_names=names
    )


@pytest.mark.parametrize(
    ("host", "address", "port", "url"),
    [
        ("shop.example", "shop.example", 8443, "https://shop.example/"),
        ("Shop.Example.:444", "Shop.Example.", 444, "https://Shop.Example.:444/"),
        ("10.0.0.9:444", "shop.example", 444, "https://10.0.0.9:444/"),
        ("", "shop.example", 8443, "https://shop.example:8443/"),
    ],
)
def test_a_client_s_server_is_whom_its_handshake_asked_for(
    host: str, address: str, port: int, url: str
) -> None:
    one = call(value(host=host), record(role=CLIENT, flags=TLS, server_port=8443))
    maker = named("shop.example")
    found = attributes(span_of(one, maker))
    assert (found["server.address"], found["server.port"], found["url.full"]) == (address, port, url)
    assert found["network.peer.address"] == "10.0.0.1"
    assert ("server.address", address) in maker.plan(one, SHOP).shape.metric_attributes


def test_a_server_s_own_address_is_that_of_the_host_header() -> None:
    one = call(value(host="here.example"), record(role=SERVER, flags=TLS))
    assert attributes(span_of(one, named("shop.example")))["server.address"] == "here.example"


def test_where_names_differ_no_plan_is_for_other_connections() -> None:
    told: list[int] = []
    maker = named("shop.example", told)
    of = record(role=CLIENT, flags=TLS)
    other = call(value(host="other.example"), of._replace(connection=78))
    early = maker.plan(other, SHOP)
    assert early.settled
    assert not told
    renamed = maker.plan(call(value(host="other.example"), of), SHOP)
    assert ("server.address", "shop.example") in renamed.template.attributes
    assert not renamed.settled
    assert told == [1]
    late = maker.plan(other, SHOP)
    assert late is not early
    assert not late.settled
    assert ("server.address", "other.example") in late.template.attributes
    assert maker.plan(call(value(host="third.example"), of), SHOP) is not renamed
    assert told == [1], "it is said once for a vantage"
    elsewhere = record(role=CLIENT, flags=TLS, connection=78, server_port=444)
    assert maker.plan(call(value(host="other.example"), elsewhere), SHOP).settled


ONLY_OF_A_SOCKET = {"network.peer.address", "network.peer.port", "network.transport", "client.address"}


def test_a_server_whose_socket_is_not_known() -> None:
    found = attributes(
        span_of(call(value(path="/a", host="shop.example:444"), record(flags=TLS, **NO_SOCKET)))
    )
    assert (found["server.address"], found["server.port"]) == ("shop.example", 444)
    assert (found["url.path"], found["url.scheme"]) == ("/a", "https")
    assert not ONLY_OF_A_SOCKET & found.keys()
    bare = attributes(span_of(call(value(host=""), record(flags=TLS, **NO_SOCKET))))
    assert not {"server.address", "server.port", *ONLY_OF_A_SOCKET} & bare.keys()
    assert "server.port" not in attributes(
        span_of(call(value(host="a.example"), record(flags=TLS, **NO_SOCKET)))
    )
    forwarded = attributes(span_of(call(value(forwarded_for="192.0.2.1"), record(flags=TLS, **NO_SOCKET))))
    assert forwarded["client.address"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [("a.example:444", 444, "https://a.example:444/b?c=1"), ("a.example", 443, "https://a.example/b?c=1")],
)
def test_a_client_whose_socket_is_not_known(host: str, port: int, url: str) -> None:
    one = call(value(path="/b", query="c=1", host=host), record(role=CLIENT, flags=TLS, **NO_SOCKET))
    found = attributes(span_of(one))
    assert (found["server.address"], found["server.port"], found["url.full"]) == ("a.example", port, url)
    assert not ONLY_OF_A_SOCKET & found.keys()


def test_a_client_of_which_nothing_names_the_server() -> None:
    one = call(value(path="/b", query="c=1", host=""), record(role=CLIENT, flags=TLS, **NO_SOCKET))
    found = attributes(span_of(one))
    assert (found["url.path"], found["url.query"]) == ("/b", "c=1")
    assert not {"url.full", "server.address", "server.port", *ONLY_OF_A_SOCKET} & found.keys()
