"""Services in containers behind published ports: Docker's own translation of addresses between both ends."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run

import pytest

from integration.conftest import Traced
from integration.harness.go_programs import LOCAL, Build, build
from integration.harness.hops import TRACES
from integration.harness.limits import PATIENCE, slack
from integration.harness.measured import new_mark
from integration.harness.network import HOST, one_network
from integration.harness.rungs import RUNGS
from integration.harness.traces import judge, torn
from integration.image.daemon import Daemon

REQUESTS = 40
PORTS = (8001, 8002, 8003)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def host() -> Iterator[list[str]]:
    """Start a hop in a container for each port; yield the words that run a command on their host."""
    program = build(TRACES / "go_hop", Build(LOCAL, True))
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, one_network() as network:  # noqa: SIM117
        with Daemon(Path(folder), network.name) as daemon:
            with Popen(["tar", "-C", str(program.parent), "-c", program.name], stdout=PIPE) as archiver:
                assert archiver.stdout is not None
                daemon.run("import", "-", "hop", stdin=archiver.stdout.fileno())
            for port in PORTS:
                where = ["--env=HOP_ADDRESS=0.0.0.0", f"--env=HOP_HOST={HOST}", f"--publish={port}:8000"]
                daemon.run("run", "--detach", *where, "hop", f"/{program.name}", "8000")
            yield network.within


@pytest.mark.parametrize("at_once", [1, 10])
def test_published_ports(start_agent: Callable[..., Traced], host: list[str], at_once: int) -> None:
    """A chain of containers that ask each other by their host's address."""
    mark = new_mark()
    observed = [{"executable": "*/go_hop"}, {"command_line": "*visitor.py*"}]
    traced = start_agent(RUNGS[0], config={"discovery": {"include": observed}})
    hops = "/".join(map(str, PORTS[1:]))
    words = [*host, sys.executable, str(TRACES / "visitor.py"), f"{HOST}:{PORTS[0]}"]
    run([*words, hops, mark, str(REQUESTS), str(at_once)], check=True, timeout=slack(PATIENCE), stdin=DEVNULL)
    seen = traced.backend.expect(6 * REQUESTS, mark=mark)
    verdict = judge(seen, "visitor", translated=True)
    assert not verdict.wrong, str(verdict)
    assert not verdict.missing, str(verdict)
    assert not torn(seen)
