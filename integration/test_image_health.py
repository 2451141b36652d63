"""What a container engine is told of an agent's health, by `otel-ebpf health` in the image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.harness.images import AGENT, load_agent
from integration.harness.limits import wait_until
from integration.image.daemon import Daemon
from integration.test_image import AS_DOCUMENTED

NAME = "agent"
OFTEN = ("--health-interval=1s", "--health-retries=1")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """One in which an agent runs."""
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, Daemon(Path(folder)) as daemon:
        load_agent(daemon)
        exporters = ("--env=OTEL_TRACES_EXPORTER=none", "--env=OTEL_METRICS_EXPORTER=none")
        daemon.run(*AS_DOCUMENTED, "--detach", f"--name={NAME}", *OFTEN, *exporters, AGENT)
        yield daemon


def test_it_is_healthy_while_it_goes_on(daemon: Daemon) -> None:
    def health() -> str:
        return daemon.run("inspect", "--format", "{{.State.Health.Status}}", NAME).strip()

    assert wait_until(lambda: health() == "healthy", every=0.5), daemon.run("inspect", NAME)
    daemon.run("kill", "--signal=STOP", NAME)
    assert wait_until(lambda: health() == "unhealthy", every=0.5)
    daemon.run("kill", "--signal=CONT", NAME)
    assert wait_until(lambda: health() == "healthy", every=0.5)
