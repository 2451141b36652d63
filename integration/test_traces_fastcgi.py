"""Requests are followed through nginx and PHP-FPM, which speak FastCGI."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.hops import Hops, check
from integration.harness.measured import drive, new_mark
from integration.harness.php import php_fpm
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER, SeenSpan, describe

pytestmark = pytest.mark.one_rung

WAYS = ["new", "kept", "unix_new", "unix_kept"]


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


@pytest.fixture(scope="module")
def php() -> Iterator[Mapping[str, Server]]:
    with php_fpm() as ways:
        yield ways


def of(spans: list[SeenSpan], service: str, kind: int) -> list[SeenSpan]:
    return [span for span in spans if (span.service, span.kind) == (service, kind)]


def pool(way: str) -> str:
    """Return the service that PHP-FPM's workers are: their pool."""
    return "unix" if way.startswith("unix") else "tcp"


@pytest.mark.parametrize("at_once", [1, 10, 50])
@pytest.mark.parametrize("way", WAYS)
def test_what_php_asks(traced: Traced, hop: Hops, php: Mapping[str, Server], way: str, at_once: int) -> None:
    """By its own streams and by curl."""
    check(traced, php[way], f"x/{hop('threaded-0').port}+{hop('threaded-1').port}c", 8, at_once)


@pytest.mark.parametrize("length", [100, 1_000_000])
@pytest.mark.parametrize("way", WAYS)
def test_bodies(traced: Traced, hop: Hops, php: Mapping[str, Server], way: str, length: int) -> None:
    check(traced, php[way], f"x/{hop('threaded-0').port}", 6, 10, length)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_both_ends_say_what_was_asked_and_answered(
    traced: Traced, php: Mapping[str, Server], way: str, status: int
) -> None:
    mark = new_mark()
    drive(php[way].port, [f"/status/{status}"] * 3, mark=mark, headers={"User-Agent": "tests"})
    seen = traced.backend.expect(12, mark=mark)
    asked, answered = of(seen, "nginx", CLIENT), of(seen, pool(way), SERVER)
    assert len(asked) == len(answered) == 3, describe(seen)
    for span in [*asked, *answered]:
        assert (span.status, span.method) == (status, "GET")
        assert span.is_error == (status >= 500 or (status >= 400 and span.kind == CLIENT))
    assert {span.attributes["user_agent.original"] for span in answered} == {"tests"}
    assert {span.attributes["client.address"] for span in answered} == {"127.0.0.1"}
    assert {span.parent_id for span in answered} == {span.span_id for span in asked}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_asked_after_the_answer_has_no_parent(
    traced: Traced, hop: Hops, php: Mapping[str, Server], way: str
) -> None:
    mark = new_mark()
    paths = [f"/later/{number}/x/{hop('threaded-0').port}" for number in range(10)]
    drive(php[way].port, paths, mark=mark)
    asked = of(traced.backend.expect(60, mark=mark), pool(way), CLIENT)
    assert len(asked) == 10
    assert {span.parent_id for span in asked} == {""}


@pytest.mark.parametrize("way", WAYS)
def test_a_traceparent_that_is_passed_on(
    traced: Traced, hop: Hops, php: Mapping[str, Server], way: str
) -> None:
    trace, parent, mark = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", new_mark()
    paths = [f"/walk/{number}/x/{hop('threaded-0').port}" for number in range(10)]
    drive(php[way].port, paths, mark=mark, headers={"traceparent": f"00-{trace}-{parent}-01"})
    seen = traced.backend.expect(60, mark=mark)
    assert {span.trace_id for span in seen} == {trace}
    asked, answered = of(seen, "nginx", CLIENT), of(seen, pool(way), SERVER)
    assert {span.parent_id for span in answered} == {span.span_id for span in asked}
    assert {span.parent_id for span in of(seen, pool(way), CLIENT)} == {span.span_id for span in answered}


def test_heads_that_are_longer_than_what_is_captured(
    traced: Traced, hop: Hops, php: Mapping[str, Server]
) -> None:
    mark, paths = new_mark(), [f"/walk/{number}/x/{hop('threaded-0').port}" for number in range(10)]
    drive(php["kept"].port, paths, mark=mark, headers={"Cookie": "c" * 20_000})
    seen = traced.backend.expect(60, mark=mark)
    answered = of(seen, "tcp", SERVER)
    assert {span.parent_id for span in answered} == {span.span_id for span in of(seen, "nginx", CLIENT)}
    assert {span.parent_id for span in of(seen, "tcp", CLIENT)} == {span.span_id for span in answered}


def test_a_traceparent_among_the_parameters(traced: Traced, hop: Hops, php: Mapping[str, Server]) -> None:
    """Of a web server that decides for itself: what PHP asks is of the same trace as PHP's own span."""
    trace, parent, mark = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", new_mark()
    program = Path(php["new"].program.command[2]).parent / "hop.php"
    said = {
        "SCRIPT_FILENAME": str(program),
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": f"/walk/1/{hop('threaded-0').port}?n={mark}",
        "HTTP_COOKIE": "c" * 200,
        "HTTP_TRACEPARENT": f"00-{trace}-{parent}-01",
    }
    with socket.create_connection(("127.0.0.1", php["fpm"].port)) as connection:
        connection.sendall(_record(1, bytes((0, 1, 0, 0, 0, 0, 0, 0))) + _record(4, _pairs(said)))
        connection.sendall(_record(4, b"") + _record(5, b""))
        while connection.recv(4096):
            pass
    seen = traced.backend.expect(4, mark=mark)
    [answered], [asked] = of(seen, "tcp", SERVER), of(seen, "tcp", CLIENT)
    assert (answered.trace_id, answered.parent_id) == (trace, parent)
    assert (asked.trace_id, asked.parent_id) == (trace, answered.span_id)


def _record(kind: int, content: bytes) -> bytes:
    return bytes((1, kind, 0, 1)) + len(content).to_bytes(2, "big") + bytes(2) + content


def _pairs(said: Mapping[str, str]) -> bytes:
    made = ((name.encode(), value.encode()) for name, value in said.items())
    return b"".join(bytes((len(name),)) + _length(len(value)) + name + value for name, value in made)


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 128 else (size | 1 << 31).to_bytes(4, "big")
