"""Requests are followed through Node.js: what a handler asks has the request that it serves for parent.

The rules were made with the programs of the first two tests. The others judge them.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness.hops import REQUESTS, TRACES, Hops, check, judged
from integration.harness.limits import slack, wait_until
from integration.harness.measured import drive
from integration.harness.node_versions import LOCAL, NEWER, maps_code_twice, node
from integration.harness.provoke import StartAgent
from integration.harness.servers import Server
from otel_ebpf.kernel.binaries import Elf

# Where a runtime's task is asked for is the same on every rung.
pytestmark = pytest.mark.one_rung

AT_ONCE = [1, 10, 50]
VERSIONS = [LOCAL, NEWER]
_STARTS = 5
"""Where V8 has its code in one place, the agent leaves async functions alone: docs/traces.md."""
STYLES = [
    *("all", "settled", "semaphore", "pool", "shared", "mixed", "events"),
    *("timers", "ticks", "files", "scopes"),
]


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


def _node(hop: Hops, version: str, script: str, number: int, *style: str) -> Server:
    words = [word for word in style if word]
    command = [node(version), "--expose-gc", TRACES / f"{script}.js", *words]
    for again in range(_STARTS):
        server = hop("-".join([version, script, *words, str(number), str(again)]), command)
        if maps_code_twice(server.program.pid):
            break
    else:
        raise AssertionError(f"of {_STARTS} processes none has mapped V8's code twice")
    _have_noticed(server.port)
    return server


@functools.cache
def _have_noticed(port: int) -> None:
    """Async functions are followed from the first request on that a process serves, and not within it."""
    drive(port, ["/"])
    time.sleep(slack(0.5))


@pytest.mark.parametrize(
    ("how", "at_once"), [*(("", number) for number in AT_ONCE), ("queue", 50), ("close", 10)]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_callbacks(traced: Traced, hop: Hops, version: str, how: str, at_once: int) -> None:
    """Connections from a pool, of their own, and waited for."""
    one, two = (_node(hop, version, "node_callbacks_hop", number, how) for number in range(2))
    last, other = hop("threaded-0"), hop("threaded-1")
    check(traced, one, f"{two.port}c/{last.port}", 6, at_once)
    check(traced, one, f"{two.port}+{last.port}c+{other.port}", 8, at_once)


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("version", VERSIONS)
def test_async_functions(traced: Traced, hop: Hops, version: str, at_once: int) -> None:
    one, two = (_node(hop, version, "node_hop", number) for number in range(2))
    last, other = hop("threaded-0"), hop("threaded-1")
    check(traced, one, f"{two.port}/{last.port}+{other.port}", 8, at_once)


def test_callbacks_alone_tell_nothing_wrong(rung: str, start_agent: StartAgent, hop: Hops) -> None:
    """By default, async functions are not followed: what they ask has the right parent or none."""
    last, other = hop("threaded-0"), hop("threaded-1")
    programs = [("node_callbacks_hop", ""), ("node_hop", ""), *(("node_styles_hop", one) for one in STYLES)]
    pairs = [[_node(hop, LOCAL, name, number, style) for number in range(2)] for name, style in programs]
    ports = [server.port for pair in [*pairs, [last, other]] for server in pair]
    traced = start_agent(rung, config={"discovery": {"include": [{"ports": ports}]}})
    for one, two in pairs:
        judged(traced, one, f"{two.port}/{last.port}+{other.port}", 8, 10)


@pytest.mark.parametrize("at_once", [50])
@pytest.mark.parametrize("style", STYLES)
def test_styles(traced: Traced, hop: Hops, style: str, at_once: int) -> None:
    """Fan-out, waiting for each other, what one request makes another go on with, and what is in between."""
    one, two = (_node(hop, LOCAL, "node_styles_hop", number, style) for number in range(2))
    last, other = hop("threaded-0"), hop("threaded-1")
    check(traced, one, f"{two.port}+{last.port}c+{other.port}", 8, at_once)


@pytest.mark.parametrize("version", VERSIONS)
def test_collected_while_waiting(traced: Traced, hop: Hops, version: str) -> None:
    """V8 collects its whole heap, and moves what waits."""
    one, two = (_node(hop, version, "node_styles_hop", number, "collected") for number in range(2))
    last, other = hop("threaded-0"), hop("threaded-1")
    check(traced, one, f"{two.port}+{last.port}c+{other.port}", 8, 10)


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("style", ["late", "late-callbacks", "thens", "resource"])
def test_what_has_no_parent(traced: Traced, hop: Hops, style: str, at_once: int) -> None:
    """What is asked after the answer, and what callbacks of promises ask."""
    one = _node(hop, LOCAL, "node_styles_hop", 0, style)
    last, other = hop("threaded-0"), hop("threaded-1")
    verdict = judged(traced, one, f"{last.port}+{other.port}", 6, at_once)
    assert verdict.orphans == {"node_styles_hop client": 2 * REQUESTS}, str(verdict)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_fetch_has_no_wrong_parent(traced: Traced, hop: Hops, at_once: int) -> None:
    """It may have none, where a connection is handed on."""
    one = _node(hop, LOCAL, "node_styles_hop", 0, "fetch")
    last, other = hop("threaded-0"), hop("threaded-1")
    verdict = judged(traced, one, f"{last.port}+{other.port}", 6, at_once)
    assert sum(verdict.orphans.values()) <= REQUESTS // 10, str(verdict)


@pytest.mark.parametrize("at_once", [10])
@pytest.mark.parametrize("how", ["worker", "cluster"])
@pytest.mark.parametrize("version", VERSIONS)
def test_threads_and_processes(traced: Traced, hop: Hops, version: str, how: str, at_once: int) -> None:
    one, two = (
        _node(hop, version, "node_launch", number, how, "node_styles_hop.js", "all") for number in range(2)
    )
    last, other = hop("threaded-0"), hop("threaded-1")
    check(traced, one, f"{two.port}+{last.port}c+{other.port}", 8, at_once)


@pytest.mark.parametrize("at_once", [10])
@pytest.mark.parametrize("style", ["shared", "thens", "scopes"])
def test_programs_that_listen_to_async_hooks_are_left_alone(
    traced: Traced, hop: Hops, style: str, at_once: int
) -> None:
    one = _node(hop, LOCAL, "node_launch", 0, "storage", "node_styles_hop.js", style)
    last, other = hop("threaded-0"), hop("threaded-1")
    verdict = judged(traced, one, f"{last.port}+{other.port}", 6, at_once)
    assert sum(verdict.orphans.values()) == 2 * REQUESTS, str(verdict)


def test_a_program_whose_executable_is_replaced_goes_on(traced: Traced, hop: Hops, tmp_path: Path) -> None:
    """V8 gives a new thread a copy of its builtins then, which may not have breakpoints in it."""
    program = tmp_path / "node"
    shutil.copy(node(LOCAL), program)
    server = hop("late", [program, TRACES / "node_late_worker.js"])
    drive(server.port, ["/"])
    assert wait_until(lambda: _breakpoints(server.program.pid, program.name))
    drive(server.port, ["/"])
    program.unlink()
    assert wait_until(lambda: not _breakpoints(server.program.pid, program.name))
    drive(server.port, ["/"])


def _breakpoints(pid: int, name: str) -> int:
    """Return in how many of the places where a process has mapped it a builtin begins with a breakpoint."""
    builtin = "Builtins_AsyncFunctionAwaitUncaught"
    with Elf(node(LOCAL)) as elf:
        offset = elf.functions([builtin])[builtin].offset
    found = 0
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, start, *_ = line.split()
            first, end = (int(address, 16) for address in place.split("-"))
            if f"/{name}" in line and "x" in rights and 0 <= offset - int(start, 16) < end - first:
                memory.seek(first + offset - int(start, 16))
                found += memory.read(1) == b"\xcc"
    return found
