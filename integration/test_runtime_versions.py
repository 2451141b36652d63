"""`process.runtime.version` as it arrives: what each server says itself of the runtime that it is in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness import servers
from integration.harness.build import go_installed, java_class
from integration.harness.measured import drive
from integration.harness.ports import free_port
from integration.harness.rungs import RUNGS
from integration.harness.spans import SERVER

RUNG = RUNGS[0]  # who it was is the same on every rung
_RUBY = """
require 'socket'
server = TCPServer.new('127.0.0.1', Integer(ARGV[0]))
while (client = server.accept)
  client.gets("\\r\\n\\r\\n")
  client.write("HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
  client.close
end
"""


def _said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return (done.stdout + done.stderr).strip()


def _ruby(folder: Path) -> AbstractContextManager[servers.Server]:
    (folder / "till.rb").write_text(_RUBY)
    port = free_port()
    return servers.serving(["ruby", folder / "till.rb", str(port)], port, "till")


def _php(folder: Path) -> AbstractContextManager[servers.Server]:
    (folder / "till.php").write_text("<?php echo 'ok';")
    port = free_port()
    return servers.serving(["php", "-S", f"127.0.0.1:{port}", folder / "till.php"], port, "till")


def _java() -> str:
    told = _said(java_class(servers.SERVERS / "JavaServer.java")[0], "-XshowSettings:properties", "-version")
    return told.partition("java.runtime.version = ")[2].splitlines()[0]


Start = Callable[[Path], AbstractContextManager[servers.Server]]
CASES: dict[str, tuple[Start, str, Callable[[], str]]] = {
    "python": (
        *(lambda _: servers.threaded(), "cpython"),
        lambda: _said(sys.executable, "-c", "import platform; print(platform.python_version())"),
    ),
    "node": (lambda _: servers.node(), "nodejs", lambda: _said("node", "-p", "process.versions.node")),
    "java": (lambda _: servers.java(), "java", _java),
    "go": (lambda _: servers.go(), "go", lambda: _said("go", "env", "GOVERSION").split()[0]),
    "ruby": (_ruby, "ruby", lambda: _said("ruby", "-e", "puts RUBY_VERSION")),
    "php": (_php, "php", lambda: _said("php", "-r", "echo PHP_VERSION;")),
}


def test_each_runtime(start_agent: Callable[..., Traced], tmp_path: Path) -> None:
    traced = start_agent(RUNG)
    for language, (start, name, version) in CASES.items():
        with start(tmp_path) as server:
            drive(server.port, ["/"])
            (span,) = traced.backend.expect(1, port=server.port, kind=SERVER, quiet=0)
        told = {key: span.resource.get(f"process.runtime.{key}") for key in ("name", "version")}
        assert told == {"name": name, "version": version()}, language


def test_the_version_of_a_go_program(start_agent: Callable[..., Traced], tmp_path: Path) -> None:
    """Installed by its version, as `service.version`; the name is the executable's all the same."""
    traced = start_agent(RUNG)
    program = go_installed(servers.SERVERS / "go_server", "example.com/shop/till", "v1.4.2", tmp_path)
    port = free_port()
    with servers.serving([program, str(port)], port, "till"):
        drive(port, ["/"])
        (span,) = traced.backend.expect(1, port=port, kind=SERVER)
    assert (span.service, span.resource.get("service.version")) == ("till", "v1.4.2")


@pytest.mark.fast
def test_of_a_program_without_a_runtime_nothing_is_said(start_agent: Callable[..., Traced]) -> None:
    traced = start_agent(RUNG)
    with servers.nginx() as server:
        drive(server.port, ["/1k.bin"])
        (span,) = traced.backend.expect(1, port=server.port, kind=SERVER)
    assert not {"process.runtime.name", "process.runtime.version"} & span.resource.keys()
