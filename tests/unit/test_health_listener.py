"""Layer: unit. The listener for probes and scrapes, by real connections, hostile ones among them."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from otel_ebpf import health_listener
from otel_ebpf.config_telemetry import listen_address
from otel_ebpf.health import Health
from otel_ebpf.health_listener import CONNECTIONS_MAX, HEAD_MAX, HealthListener, _is_local

LIMIT = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Listening:
    def __init__(self, health: Health, scrape: Callable[[], bytes | None] | None = None) -> None:
        self.port = free_port()
        self.health = health
        self.listener = HealthListener(("127.0.0.1", self.port), health, scrape)
        self.listener.start()

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), LIMIT)

    def send(self, request: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    try:
        return b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionResetError:
        return b""


@pytest.fixture
def listening() -> Iterator[Listening]:
    started = Listening(Health())
    yield started
    started.listener.stop()
    assert not started.listener._thread.is_alive()


def test_verdicts(listening: Listening) -> None:
    assert listening.ask("/healthz") == (200, "alive\n")
    status, reason = listening.ask("/readyz")
    assert status == 503
    assert "starting" in reason
    listening.health.ready()
    assert listening.ask("/readyz?verbose=1") == (200, "ready\n")
    assert listening.ask("/readyz", "HEAD") == (200, "")
    assert listening.ask("/readyz", "POST")[0] == 405
    assert listening.ask("/etc/passwd") == (404, "here are /healthz, /readyz\n")
    assert listening.ask("/metrics")[0] == 404


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\r\n\r\n", b"400"),
        (b"GET /healthz\r\n\r\n", b"400"),
        (b"GET  /healthz HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\xff\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"GET /\x1b[2J\xff HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"431"),
        (b"A" * 2 * HEAD_MAX, b"431"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_odd_requests(listening: Listening, request_: bytes, status: bytes) -> None:
    answer = listening.send(request_)
    assert answer == b"" or answer.split(b" ")[1] == status, answer
    assert b"\x1b" not in answer
    assert listening.ask("/healthz") == (200, "alive\n")


def test_metrics() -> None:
    texts: list[bytes | None] = [None, b"a 1\n"]
    listening = Listening(Health(), lambda: texts.pop(0))
    assert listening.ask("/metrics")[0] == 503
    assert listening.ask("/metrics") == (200, "a 1\n")
    listening.listener.stop()


def test_a_scrape_that_fails_costs_its_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bytes:
        raise RuntimeError("a fault")

    listening = Listening(Health(), fail)
    assert listening.send(b"GET /metrics HTTP/1.1\r\n\r\n") == b""
    assert listening.ask("/healthz") == (200, "alive\n")
    listening.listener.stop()
    assert "a fault" in caplog.text


@pytest.mark.parametrize(
    ("client", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.7", False),
        ("::ffff:10.0.0.7", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_who_is_on_this_host(client: str, local: bool) -> None:
    assert _is_local(client) is local


def test_silent_clients_keep_nobody_out(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more than are served at a time, each with half a request: the oldest are dropped for the newest."""
    monkeypatch.setattr(health_listener, "DEADLINE_SECONDS", 600.0)
    with ExitStack() as stack:
        silent = [stack.enter_context(listening.connect()) for _ in range(6 * CONNECTIONS_MAX)]
        for one in silent:
            one.sendall(b"GET /healthz HTTP/1.1\r\n")
        for _ in range(20):
            assert listening.ask("/healthz") == (200, "alive\n")
        kept = CONNECTIONS_MAX - 1
        assert all(read_all(one) == b"" for one in silent[:-kept]), "each is dropped, without an answer"
        silent[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent[-1].recv(1)


def test_a_client_that_is_slow_is_dropped(listening: Listening) -> None:
    with listening.connect() as slow:
        began = time.monotonic()
        try:
            while time.monotonic() - began < LIMIT:
                slow.sendall(b"A")
                time.sleep(0.05)
        except OSError:
            return
    pytest.fail("it was served for ever")


def test_a_port_that_is_taken_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.ERROR):
        port = taken.getsockname()[1]
        listener = HealthListener(("127.0.0.1", port), Health(), None)
        listener.start()
        listener.stop()
    assert f"nothing answers at 127.0.0.1 port {port}" in caplog.text
    assert "telemetry.health.listen" in caplog.text


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:1", ("::1", 1)), ("0.0.0.0:65535", ("0.0.0.0", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("9464", ":9464", "*:9464", "localhost:9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536"),
        *("::1:80", "[127.0.0.1]:80", "127.0.0.1:٣", "127.0.0.1:-1", "[::1]80", "127.0.0.1:99999999999"),
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="for all who reach it"):
        listen_address(text)
