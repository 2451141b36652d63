"""docs/add-a-protocol.md, taken literally: its blocks in a copy of the tree, and a real memcached."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.guest.run import CHECKOUT
from integration.harness.build import SERVERS
from integration.harness.limits import slack, wait_until
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.spans import CLIENT, SERVER, SeenSpan

PAGE = CHECKOUT / "docs" / "add-a-protocol.md"
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COMMANDS = ["set", "get", "incr"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the tree as the page leaves it."""
    for folder in ("otel_ebpf", "tests"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    for language, title, text in BLOCK.findall(PAGE.read_text()):
        if language == "diff":
            subprocess.run(["git", "apply", "-"], input=text, text=True, cwd=tmp_path, check=True)
        else:
            assert not (tmp_path / title).exists(), "a new protocol changes no other file"
            (tmp_path / title).write_text(text)
    return tmp_path


def run(tree: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=slack(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_own_tests_pass(tree: Path) -> None:
    run(
        tree,
        "-m",
        "pytest",
        "-q",
        "tests/unit/test_protocols_memcached.py",
        "tests/unit/test_signals_names.py",
    )


def test_it_is_as_clean_as_the_rest(tree: Path) -> None:
    tools = Path(sys.executable).parent
    file = "otel_ebpf/protocols/memcached.py"
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--strict"]):
        done = subprocess.run(
            [tools / command[0], *command[1:], file], cwd=tree, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Cache:
    """The agent of the copy, and a real memcached on a port that it observes."""

    traced: Traced
    port: int


@pytest.fixture
def cache(tree: Path, start_agent: Callable[..., Traced]) -> Iterator[Cache]:
    port = free_port()
    include = [{"ports": [port]}, {"command_line": "*caching.py*"}]
    traced = start_agent(config={"discovery": {"include": include}}, environment={"PYTHONPATH": str(tree)})
    with Program(line_of_page("memcached ", port), port=port):
        yield Cache(traced, port)


def line_of_page(start: str, port: int) -> list[str]:
    """Return a command that the page tells to run, for another port."""
    (line,) = (line.strip() for line in PAGE.read_text().splitlines() if line.startswith(f"    {start}"))
    return line.removesuffix(" &").replace("11311", str(port)).split()


@pytest.mark.fast
def test_a_real_server_is_seen(tree: Path, cache: Cache) -> None:
    run(tree, *line_of_page("python3 ", cache.port)[1:])
    backend, port = cache.traced.backend, cache.port
    wait_until(lambda: len(backend.spans(port)) >= 2 * len(COMMANDS))
    clients, servers = (in_order(backend.spans(port, kind)) for kind in (CLIENT, SERVER))
    for asked, answered, command in zip(clients, servers, COMMANDS, strict=True):
        assert asked.name == answered.name == command
        assert (answered.trace_id, answered.parent_id) == (asked.trace_id, asked.span_id)
        assert answered.service == "memcached"
        for span in (asked, answered):
            assert span.attributes["db.system.name"] == "memcached"
            assert span.attributes["db.operation.name"] == command
            assert span.attributes["server.port"] == port
            assert 0 < span.duration < slack(60) * 1e9
            assert "cart" not in repr(span), "a key is the user's"
    assert [span.attributes.get("error.type") for span in clients] == [None, None, "CLIENT_ERROR"]
    assert [span.is_error for span in servers] == [False, False, True]
    wait_until(
        lambda: backend.histogram_count("db.client.operation.duration", lambda _: True) == len(COMMANDS)
    )


def test_what_a_request_asks_of_it_is_the_request_s_child(cache: Cache) -> None:
    port, backend = free_port(), cache.traced.backend
    with Program([sys.executable, SERVERS / "caching.py", str(port), str(cache.port)], port=port):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
        wait_until(lambda: backend.spans(port, SERVER) and len(backend.spans(cache.port)) >= 2)
    (request,) = backend.spans(port, SERVER)
    (asked,), (answered,) = (backend.spans(cache.port, kind) for kind in (CLIENT, SERVER))
    assert (asked.trace_id, asked.parent_id) == (request.trace_id, request.span_id)
    assert (answered.trace_id, answered.parent_id) == (request.trace_id, asked.span_id)


def test_several_commands_at_once_are_counted(cache: Cache) -> None:
    with socket.create_connection(("127.0.0.1", cache.port)) as connection:
        for commands in (b"get a\r\n", b"get a\r\nget b\r\n"):
            connection.sendall(commands)
            received = b""
            while received.count(b"END") < commands.count(b"get"):
                received += connection.recv(4096)
    one_by_client_and_server = 2
    wait_until(lambda: len(cache.traced.backend.spans(cache.port)) == one_by_client_and_server)
    wait_until(lambda: cache.traced.agent.ledger()["protocol_unparsed"] == one_by_client_and_server)
    assert len(cache.traced.backend.spans(cache.port)) == one_by_client_and_server


def in_order(spans: list[SeenSpan]) -> list[SeenSpan]:
    return sorted(spans, key=lambda span: span.start)
