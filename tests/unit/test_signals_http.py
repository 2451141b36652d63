"""Signals, spans: an HTTP call in the terms of the semantic conventions."""

from __future__ import annotations

import errno
from ipaddress import IPv6Address
from typing import Any

import pytest
from signals_support import (
    CLIENT,
    INET6,
    SERVER,
    SHOP,
    UNIX,
    attributes,
    call,
    ipv4,
    piece,
    record,
    service,
    span_of,
    spans,
    value,
)

from otel_ebpf.kernel.records import Capture, ContextSource, End, Transport
from otel_ebpf.signals import peers
from otel_ebpf.signals.http import CACHED_PLANS, CACHED_SHAPES, HttpSpans
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.routes import Routes
from otel_ebpf.signals.span import SpanKind


def test_a_server_span_has_exactly_these_attributes() -> None:
    span = span_of(call(value(path="/users/42", query="page=2")))
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/users/{id}",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 8080,
        "url.path": "/users/42",
        "url.query": "page=2",
        "client.address": "10.0.0.2",
        "network.peer.address": "10.0.0.2",
        "network.peer.port": 40000,
        "user_agent.original": "curl/8",
    }
    assert (span.template.name, span.template.kind, span.template.error) == (
        "GET /users/{id}",
        SpanKind.SERVER,
        False,
    )
    assert (span.template.service, span.start, span.end) == (SHOP, 5, 9)


def test_a_client_span_has_exactly_these_attributes() -> None:
    span = span_of(call(value(path="/users/42", query="page=2"), record(role=CLIENT)))
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 8080,
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 8080,
        "url.full": "http://shop.example:8080/users/42?page=2",
    }
    assert (span.template.name, span.template.kind, span.template.error) == ("GET", SpanKind.CLIENT, False)


def test_what_repeats_is_one_object_and_what_does_not_is_apart() -> None:
    maker = spans()
    one = span_of(call(value(path="/users/1", query="a")), maker)
    two = span_of(call(value(path="/users/2", user_agent="other")), maker)
    assert one.template.name is two.template.name
    assert one.shared is two.shared
    other = span_of(call(value(path="/users/2", status=500)), maker)
    assert other.template.attributes != two.template.attributes


def test_what_is_asked_and_answered_alike_has_one_template_and_series() -> None:
    maker, of = spans(), record()
    one = call(value(path="/users/1"), of)
    plan = maker.plan(one, SHOP)
    assert maker.plan(call(value(path="/users/1"), of._replace(client_port=1)), SHOP) is plan
    for changed in (
        call(value(path="/users/1"), of._replace(flags=int(Capture.TLS))),
        call(value(path="/users/1", status=500), of),
        call(value(path="/users/1"), record(server_port=81)),
        call(value(path="/users/1"), of, how=int(End.RESET)),
    ):
        assert maker.plan(changed, SHOP) is not plan
    assert maker.plan(call(value(path="/users/2"), of), SHOP).shape is plan.shape
    assert maker.plan(one, service(number=2)) is not plan


def test_a_path_gets_the_route_that_is_learned_later() -> None:
    maker, of = spans(), record()
    early = call(value(path="/shop/cart", status=404), of)
    assert maker.plan(early, SHOP).template.name == "GET"
    maker.plan(call(value(path="/shop/cart"), of), SHOP)
    assert maker.plan(early, SHOP).template.name == "GET /shop/cart"


def test_a_path_gets_the_route_that_many_others_made_of_its_own() -> None:
    maker, of = spans(), record()
    first = call(value(path="/user/ann"), of)
    assert maker.plan(first, SHOP).template.name == "GET /user/ann"
    for number in range(60):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        maker.plan(call(value(path=f"/user/{word}"), of), SHOP)
    assert maker.plan(first, SHOP).template.name == "GET /user/{param}"


def test_context_of_the_span() -> None:
    root = span_of(call())
    assert (root.parent_span_id, root.trace_flags, root.parent_is_remote) == (b"", 1, False)
    parent = b"\x07" * 8
    header = int(ContextSource.HEADER)
    child = span_of(call(parent_id=parent, trace_flags=0xFF, context_source=header))
    assert (child.parent_span_id, child.trace_flags, child.parent_is_remote) == (parent, 3, True)
    sampled_here = span_of(call(parent_id=parent, trace_flags=0, context_source=header))
    assert sampled_here.trace_flags == 1, "the span is exported, so it is sampled"
    assert root.trace_id == b"\x01" * 16
    assert root.span_id == b"\x02" * 8


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
)
def test_known_methods(method: str) -> None:
    assert attributes(span_of(call(value(method=method))))["http.request.method"] == method


@pytest.mark.parametrize("role", [CLIENT, SERVER])
@pytest.mark.parametrize("method", ["PROPFIND", "get", "_OTHER", ""])
def test_other_methods(method: str, role: int) -> None:
    span = span_of(call(value(method=method, path="/a"), record(role=role)))
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == method
    assert span.template.name == ("HTTP /a" if role == SERVER else "HTTP")


@pytest.mark.parametrize(
    ("role", "status", "error"),
    [
        (SERVER, 200, ""),
        (SERVER, 302, ""),
        (SERVER, 404, ""),
        (SERVER, 499, ""),
        (SERVER, 500, "500"),
        (SERVER, 503, "503"),
        (CLIENT, 200, ""),
        (CLIENT, 304, ""),
        (CLIENT, 400, "400"),
        (CLIENT, 404, "404"),
        (CLIENT, 502, "502"),
    ],
)
def test_status(role: int, status: int, error: str) -> None:
    span = span_of(call(value(status=status), record(role=role)))
    assert span.template.error is bool(error)
    assert attributes(span).get("error.type", "") == error
    assert attributes(span)["http.response.status_code"] == status


PEER_CLOSED = int(Capture.PEER_CLOSED)


@pytest.mark.parametrize("role", [CLIENT, SERVER])
@pytest.mark.parametrize(
    ("how", "error", "flags", "expected"),
    [
        (End.RESET, 0, 0, "connection_reset"),
        (End.RESET, errno.ECONNRESET, 0, "connection_reset"),
        (End.RESET, errno.EPIPE, 0, "connection_reset"),
        (End.RESET, errno.ETIMEDOUT, 0, "timeout"),
        (End.RESET, errno.ECONNREFUSED, 0, "connection_refused"),
        (End.RESET, errno.EHOSTUNREACH, 0, "host_unreachable"),
        (End.RESET, errno.ENETUNREACH, 0, "network_unreachable"),
        (End.RESET, errno.ECONNABORTED, 0, "connection_aborted"),
        (End.RESET, errno.EIO, 0, "_OTHER"),
        (End.FIN, 0, PEER_CLOSED, "connection_closed"),
        (End.FIN, 0, 0, "connection_aborted"),
        (End.IDLE, 0, PEER_CLOSED, "connection_closed"),
        (End.IDLE, 0, 0, "_OTHER"),
        (End.TURN, 0, 0, "_OTHER"),
    ],
)
def test_no_response_is_an_error(how: End, error: int, flags: int, expected: str, role: int) -> None:
    of = record(role=role, flags=flags)
    span = span_of(call(value(status=0), of, how=int(how), error=error, response_start=0))
    assert span.template.error
    assert attributes(span)["error.type"] == expected
    assert "http.response.status_code" not in attributes(span)


@pytest.mark.parametrize(
    ("status", "how", "error", "flags", "response_start", "expected"),
    [
        (200, End.RESET, errno.ECONNRESET, 0, 1, "connection_reset"),  # cut off
        (200, End.RESET, 0, 0, 1, "connection_reset"),
        (200, End.FIN, errno.ETIMEDOUT, 0, 1, "timeout"),
        (200, End.FIN, 0, PEER_CLOSED, 1, ""),  # a body that ends with the connection
        (200, End.IDLE, 0, 0, 1, ""),
        (200, End.LENGTH, errno.ECONNRESET, 0, 1, ""),  # reset after its end
        (101, End.UPGRADE, 0, 0, 1, ""),
        (0, End.UPGRADE, 0, 0, 0, ""),
        (0, End.FIN, 0, 0, 1, ""),  # a response that could not be read
        (0, End.FIN, 0, int(Capture.UNSEEN), 0, ""),
        (503, End.RESET, errno.ECONNRESET, 0, 1, "503"),
    ],
)
def test_how_it_ended(
    status: int, how: End, error: int, flags: int, response_start: int, expected: str
) -> None:
    of = record(flags=flags)
    span = span_of(call(value(status=status), of, how=int(how), error=error, response_start=response_start))
    assert attributes(span).get("error.type", "") == expected
    assert span.template.error is bool(expected)


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("example.com", "example.com", 8080),
        ("example.com:81", "example.com", 81),
        ("[::1]:81", "::1", 81),
        ("[::1]", "::1", 8080),
        ("::1", "::1", 8080),
        ("user:secret@example.com:81", "example.com", 81),
        ("example.com:99999", "example.com", 8080),
        ("example.com:http", "example.com", 8080),
        ("example.com:", "example.com", 8080),
        ("", "10.0.0.1", 8080),
    ],
)
def test_server_address_and_port(host: str, address: str, port: int) -> None:
    for role in (CLIENT, SERVER):
        found = attributes(span_of(call(value(host=host), record(role=role))))
        assert found["server.address"] == address
        assert found["server.port"] == port
        assert "secret" not in str(found)


URLS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"host": "example.com"}, {}, "http://example.com/"),
    ({"host": "example.com:80"}, {}, "http://example.com/"),
    ({"host": "example.com:443"}, {"flags": int(Capture.TLS)}, "https://example.com/"),
    ({"host": "example.com:80"}, {"flags": int(Capture.TLS)}, "https://example.com:80/"),
    ({"host": ""}, {}, "http://10.0.0.1:8080/"),
    ({"host": "", "path": "/a"}, {"server_port": 80}, "http://10.0.0.1/a"),
    (
        {"host": ""},
        {"family": INET6, "server_address": IPv6Address("2001:db8::5").packed},
        "http://[2001:db8::5]:8080/",
    ),
    (
        {"host": ""},
        {"family": INET6, "server_address": IPv6Address("::ffff:10.1.2.3").packed},
        "http://10.1.2.3:8080/",
    ),
    ({"host": "[::1]:9"}, {}, "http://[::1]:9/"),
    ({"host": "u:p@example.com"}, {}, "http://REDACTED:REDACTED@example.com/"),
    ({"host": "evil/?#a b"}, {}, "http://evil%2F%3F%23a%20b/"),
    ({"method": "OPTIONS", "path": "*"}, {}, "http://shop.example:8080"),
    ({"method": "CONNECT", "path": "shop.example:8080"}, {}, "http://shop.example:8080"),
    ({"path": "@evil"}, {}, "http://shop.example:8080/@evil"),
    ({"path": ""}, {}, "http://shop.example:8080"),
    ({"query": "sig=abc&a=1"}, {}, "http://shop.example:8080/?sig=REDACTED&a=1"),
]


@pytest.mark.parametrize(("http", "of", "url"), URLS)
def test_full_url(http: dict[str, Any], of: dict[str, Any], url: str) -> None:
    assert attributes(span_of(call(value(**http), record(role=CLIENT, **of))))["url.full"] == url


def test_query_dropped() -> None:
    maker = spans(Redaction("drop"))
    assert "url.query" not in attributes(span_of(call(value(query="a=1")), maker))
    client = span_of(call(value(query="a=1"), record(role=CLIENT)), maker)
    assert attributes(client)["url.full"] == "http://shop.example:8080/"


def test_client_address_is_the_forwarded_one() -> None:
    found = attributes(span_of(call(value(forwarded_for="198.51.100.7"))))
    assert found["client.address"] == "198.51.100.7"
    assert found["network.peer.address"] == "10.0.0.2"


def test_without_user_agent() -> None:
    assert "user_agent.original" not in attributes(span_of(call(value(user_agent=""))))


def test_an_ipv6_peer_is_not_taken_for_the_ipv4_one_with_the_same_bytes() -> None:
    maker = spans()
    bytes_of_both = ipv4("32.1.13.184")
    four = attributes(span_of(call(of=record(client_address=bytes_of_both)), maker))
    six = attributes(span_of(call(of=record(family=INET6, client_address=bytes_of_both)), maker))
    assert four["network.peer.address"] == "32.1.13.184"
    assert six["network.peer.address"] == "2001:db8::"


def unix_record(role: int, path: bytes) -> Any:
    return record(
        role=role,
        transport=int(Transport.UNIX),
        family=UNIX,
        path=path,
        server_port=0,
        client_port=0,
        server_address=b"\0" * 16,
        client_address=b"\0" * 16,
    )


def test_unix_server() -> None:
    found = attributes(span_of(call(value(host="localhost"), unix_record(SERVER, b"/run/app.sock"))))
    assert found["server.address"] == "/run/app.sock"
    assert found["network.transport"] == "unix"
    assert not {"server.port", "client.address", "network.peer.address", "network.peer.port"} & found.keys()
    forwarded = span_of(call(value(forwarded_for="192.0.2.1"), unix_record(SERVER, b"/run/app.sock")))
    assert attributes(forwarded)["client.address"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("path", "host", "name", "url"),
    [
        (b"/run/app.sock", "localhost", "/run/app.sock", "http://localhost/"),
        (b"/run/app.sock", "", "/run/app.sock", "http://%2Frun%2Fapp.sock/"),
        (b"\0app\0\0", "", "@app", "http://%40app/"),
    ],
)
def test_unix_client(path: bytes, host: str, name: str, url: str) -> None:
    found = attributes(span_of(call(value(host=host), unix_record(CLIENT, path))))
    assert found["server.address"] == name
    assert found["network.peer.address"] == name
    assert found["network.transport"] == "unix"
    assert found["url.full"] == url
    assert not {"server.port", "network.peer.port"} & found.keys()


def test_a_version_that_is_none_is_left_out() -> None:
    assert "network.protocol.version" not in attributes(span_of(call(value(version="9.9"))))


def test_a_call_of_a_piece() -> None:
    assert span_of(call(of=piece())).attributes == span_of(call()).attributes


def test_the_caches_are_bounded() -> None:
    maker = spans()
    of = record()
    for number in range(max(CACHED_SHAPES, CACHED_PLANS, peers.CACHED) + 10):
        peer = number.to_bytes(4, "big") + b"\0" * 12
        span_of(call(value(host=f"h{number}"), of._replace(client_address=peer)), maker)
    assert len(maker._services[SHOP].shapes) <= CACHED_SHAPES
    assert 0 < len(maker._services[SHOP].plans) <= CACHED_PLANS
    assert 0 < len(maker._peers[2, True].blocks) <= peers.CACHED
    maker.forget(SHOP)
    assert not maker._services


def test_routes_that_merge_on_a_broken_request_are_told_of_too() -> None:
    told: list[int] = []
    maker = HttpSpans(Routes(), Redaction(), lambda: told.append(1))
    kept = call(value(path="/users/anna"))
    maker.plan(kept, SHOP)
    for first in "abc":
        for second in "abcdefghijklmnopqrstuvwxyz":
            maker.plan(call(value(path=f"/users/{first}{second}x"), how=int(End.RESET)), SHOP)
    assert told
    assert maker.plan(kept, SHOP).shape.name == "GET /users/{param}"


def test_known_methods_can_be_given() -> None:
    maker = HttpSpans(Routes(), Redaction(), lambda: None, known_methods=("GET", "PROPFIND"))
    assert attributes(span_of(call(value(method="PROPFIND")), maker))["http.request.method"] == "PROPFIND"
    assert attributes(span_of(call(value(method="POST")), maker))["http.request.method"] == "_OTHER"
