"""`doctor` beside a running agent: what the agent says of TLS, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from otel_ebpf.cli import main
from otel_ebpf.doctor import _privileges
from otel_ebpf.health import Health
from otel_ebpf.kernel.ladder import PAYLOAD
from otel_ebpf.kernel.ledger import DESCRIPTIONS
from otel_ebpf.kernel.messages import Standing
from otel_ebpf.probing.unread import JAVA, NO_SYMBOLS, Obstacle
from otel_ebpf.status import StatusServer

Doctor = Callable[..., str]


def library(path: str, processes: int) -> dict[str, Any]:
    return {"library": "openssl", "path": path, "processes": processes}


def unread(pid: int, command: str, obstacle: Obstacle) -> dict[str, Any]:
    said = {"reason": obstacle.reason, "text": obstacle.text, "advice": obstacle.advice}
    return {"pid": pid, "command": command, **said}


@pytest.fixture
def tls() -> dict[str, Any]:
    """What the agent will say; for tests to fill in."""
    return {"libraries": [], "unread": [], "left_out": 0}


@pytest.fixture
def runtimes() -> dict[str, Any]:
    """The same of runtimes."""
    return {"followed": [], "given_up": []}


@pytest.fixture
def injected() -> dict[str, int]:
    """The same of requests that were written into."""
    return {}


@pytest.fixture
def dns() -> dict[str, Any]:
    """The same of C libraries."""
    return {"libraries": []}


@pytest.fixture
def doctor(
    tmp_path: Path,
    tls: dict[str, Any],
    runtimes: dict[str, Any],
    injected: dict[str, int],
    dns: dict[str, Any],
) -> Iterator[Doctor]:
    """Run the command beside an agent of which there is nothing but its status socket."""
    path, config = tmp_path / "status", tmp_path / "config.yaml"
    config.write_text(f"telemetry: {{status_socket: {path}}}\n")
    server = StatusServer(
        str(path),
        [Standing(PAYLOAD, "kprobe", "", ())],
        lambda: [0] * len(DESCRIPTIONS),
        lambda: {"tls": tls, "runtimes": runtimes, "injected": injected, "dns": dns},
        Health(),
    )
    server.start()

    def run(*options: str) -> str:
        result = CliRunner().invoke(main, ["doctor", "--config", str(config), *options])
        assert result.exit_code == 0, result.output
        return result.output

    yield run
    server.stop()


def test_nothing_is_said_where_there_is_nothing(doctor: Doctor) -> None:
    assert "TLS" not in doctor()


def test_libraries(doctor: Doctor, tls: dict[str, Any]) -> None:
    tls["libraries"] = [library("/usr/bin/node", 1), library("/usr/lib/libssl.so.3", 12)]
    assert (
        "  TLS libraries with probes\n"
        "         1 process  openssl  /usr/bin/node\n"
        "      12 processes  openssl  /usr/lib/libssl.so.3\n"
    ) in doctor()


def test_processes_with_the_same_reason_are_told_together(doctor: Doctor, tls: dict[str, Any]) -> None:
    tls["unread"] = [unread(pid, "java", JAVA) for pid in range(100, 110)]
    tls["unread"].append(unread(7, "proxy", NO_SYMBOLS))
    tls["left_out"] = 3
    named = ", ".join(f"java ({pid})" for pid in range(100, 108))
    assert (
        "  TLS that is not read, of processes that made handshakes\n"
        f"    {JAVA.text}\n"
        f"         {named} and 2 more\n"
        f"         -> {JAVA.advice}\n"
        f"    {NO_SYMBOLS.text}\n"
        "         proxy (7)\n"
        f"         -> {NO_SYMBOLS.advice}\n"
        "\n"
        "  TLS: no room to tell of 3 processes more\n"
    ) in doctor()


def test_names_cannot_speak_to_the_terminal(doctor: Doctor, tls: dict[str, Any]) -> None:
    tls["libraries"] = [library("/tmp/\x1b[2Jlibssl\udcff.so", 1)]
    tls["unread"] = [unread(7, "\x1b[31mred\n", JAVA)]
    said = doctor()
    assert "\x1b" not in said
    assert "/tmp/?[2Jlibssl?.so" in said
    assert "?[31mred? (7)" in said


def test_runtimes(doctor: Doctor, runtimes: dict[str, Any]) -> None:
    one = {"runtime": "go", "path": "/usr/bin/caddy", "processes": 2, "hits": 4100, "percent": 5.3}
    runtimes["followed"] = [one, one | {"path": "/srv/idle", "processes": 1, "hits": 0}]
    runtimes["given_up"] = [
        {"path": "/srv/busy\x1b[2J", "reason": "process 7 hit its probes 30000 times a second"}
    ]
    assert (
        "  Runtimes in which requests are followed\n"
        "       2 processes  go       /usr/bin/caddy, 4100 hits a second, 5.3 % of a processor\n"
        "         1 process  go       /srv/idle\n"
        "\n"
        "  Programs in which they are not, though they have a runtime\n"
        "    /srv/busy?[2J: process 7 hit its probes 30000 times a second\n"
    ) in doctor()


def test_requests_that_were_written_into(doctor: Doctor, injected: dict[str, int]) -> None:
    assert "traceparent" not in doctor()
    injected.update(written=41, present=0, upgrade=1)
    assert (
        "  Requests that traceparent was to be written into\n"
        "              41  written\n"
        "               1  upgrade\n"
    ) in doctor()


def test_c_libraries(doctor: Doctor, dns: dict[str, Any]) -> None:
    dns["libraries"] = [{"library": "libc", "path": "/lib/libc.so.6", "processes": 40}]
    assert (
        "  Libraries with probes for lookups of names\n      40 processes  libc     /lib/libc.so.6\n"
    ) in doctor()


def test_json(doctor: Doctor, tls: dict[str, Any]) -> None:
    tls["libraries"] = [library("/usr/bin/node", 1)]
    tls["unread"] = [unread(7, "java", JAVA)]
    assert json.loads(doctor("--json"))["tls"] == tls


@pytest.mark.parametrize(
    ("effective", "found"),
    [
        ("000001ffffffffff", ""),
        ("0000000000280004", ""),  # SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH
        ("000000c000080004", ""),  # BPF and PERFMON in place of SYS_ADMIN
        ("00000000a80425fb", "CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"),  # Docker's root
        ("0000008000000000", "CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"),
    ],
)
def test_privileges_are_what_is_held(effective: str, found: str) -> None:
    check = _privileges(f"Name:\tagent\nCapEff:\t{effective}\n")
    assert check.good == (not found)
    assert found in check.found
