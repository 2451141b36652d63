"""The Dockerfile builds a slim image that traces this host. No registry is needed: its base is ours."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.guest.run import CHECKOUT
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.containers import container_that_serves, give_image
from integration.harness.images import AGENT, load_agent
from integration.harness.installed import spans_of_a_server
from integration.harness.measured import drive
from integration.harness.spans import SERVER
from integration.image import base
from integration.image.daemon import Daemon

ADDED_BYTES_LIMIT = 150_000_000

# What the quick start tells users to give the container. Not --privileged: that asks for every capability,
# and fails where the host itself lacks one.
AS_DOCUMENTED = [
    *("run", "--rm", "--pid=host", "--network=host", "--security-opt", "apparmor=unconfined"),
    *("--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "DAC_READ_SEARCH"),
]

_HELD = "-all,+sys_admin,+sys_ptrace,+dac_read_search"
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={_HELD}"]
AS_NOBODY += [f"--bounding-set={_HELD}", f"--ambient-caps={_HELD}", "otel-ebpf"]
"""In front of the agent's words, for an engine that gives capabilities to root alone, as Docker does."""

VARIABLES = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_METRIC_EXPORT_INTERVAL",
]
"""Those by which the tests tell an agent where to send."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Built:
    daemon: Daemon

    def size(self, name: str) -> int:
        return int(self.daemon.run("image", "inspect", "--format", "{{.Size}}", name))

    def agent(self, *words: str) -> list[str]:
        """Return how an agent of the tests is called in a container; `words` are more for `docker run`."""
        passed_on = [argument for name in VARIABLES for argument in ("--env", name)]
        return [*self.daemon.client, *AS_DOCUMENTED, "--volume=/tmp:/tmp", *passed_on, *words, AGENT]

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return self.daemon.try_run(["run", "--rm", "--network=host", "--entrypoint=sh", AGENT, "-c", script])


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, Daemon(Path(folder)) as daemon:
        load_agent(daemon)
        yield Built(daemon)


def test_the_image_is_slim(built: Built) -> None:
    added = built.size(AGENT) - built.size(base.NAME)
    assert added < ADDED_BYTES_LIMIT, f"{added / 1e6:.0f} MB on top of the base"
    tools = built.shell("command -v clang-19 make gcc pip")
    assert not tools.stdout, "the tools that built it are still in it"


def test_the_objects_of_every_architecture_are_in_it(built: Built) -> None:
    found = built.shell(
        "find /opt/otel-ebpf -name '*.bpf.o' | xargs -n1 dirname | xargs -n1 basename | sort | uniq"
    )
    assert found.stdout.split() == ["aarch64", "x86_64"], found


def test_doctor_finds_a_rung(built: Built) -> None:
    report = json.loads(built.daemon.run(*AS_DOCUMENTED, AGENT, "doctor", "--json"))
    assert report["capabilities"]["tcp_payload"]["rung"], report


def test_it_traces_a_program_of_the_host(built: Built) -> None:
    assert spans_of_a_server(built.agent())


def test_it_does_so_as_nobody(built: Built) -> None:
    """Capabilities suffice, whoever holds them."""
    assert spans_of_a_server([*built.agent("--entrypoint="), *AS_NOBODY])


def test_a_sidecar_names_what_its_pod_runs(built: Built) -> None:
    """As in configs/kubernetes/sidecar.yaml: the processes of one container in place of the host's."""
    give_image(built.daemon)
    with (
        container_that_serves(built.daemon, "--env=OTEL_SERVICE_NAME=till") as (identifier, port),
        Backend() as backend,
    ):
        config = {"discovery": {"include": [{"ports": [port]}]}, "kubernetes": {"enabled": "off"}}
        command = [
            f"--pid=container:{identifier}" if word == "--pid=host" else word for word in built.agent()
        ]
        with Agent(endpoint=backend.endpoint, command=command, config=config):
            drive(port, ["/"] * 2)
            spans = backend.expect(2, port=port, kind=SERVER)
    assert {span.service for span in spans} == {"till"}


def test_the_pages_have_the_same_words() -> None:
    start, page = (_plain(CHECKOUT / "docs" / name) for name in ("quick-start.md", "install.md"))
    documented = f"docker {' '.join(AS_DOCUMENTED)} "
    assert documented in start
    assert page.count(documented) == 2
    assert f"--entrypoint setpriv otel-ebpf {' '.join(AS_NOBODY[1:])} run" in page


def _plain(page: Path) -> str:
    """Return a page's words, lines that go on put together."""
    return " ".join(page.read_text().replace("\\\n", " ").split())
