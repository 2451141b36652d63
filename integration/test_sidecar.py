"""An agent beside a pod's container: it shares the processes, and sees its own control group as root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from integration.conftest import Traced
from integration.harness.agent import COMMAND
from integration.harness.containers import IMAGE, asking, container_that_serves, docker_with_image
from integration.harness.measured import drive, new_mark
from integration.harness.rungs import RUNGS
from integration.harness.servers import threaded
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.image.daemon import Daemon

StartAgent = Callable[..., Traced]
SIDECAR = "sidecar"
PASSED_ON = (
    "PYTHONPATH",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_METRIC_EXPORT_INTERVAL",
)

pytestmark = pytest.mark.timeout(300)


def _beside(docker: Daemon, container: str, parent: str) -> list[str]:
    """Return the command of an agent in a container: of this host's files, with the processes of another."""
    inside = 'mount -t proc proc /host/proc && exec chroot /host "$@"'
    return [
        *(*docker.client, "run", "--rm", f"--name={SIDECAR}", "--network=host", parent),
        *(f"--pid=container:{container}", "--cgroupns=private", "--security-opt=apparmor=unconfined"),
        *(f"--cap-add={one}" for one in ("SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_CHROOT")),
        *(word for name in PASSED_ON for word in ("--env", name)),
        *("--volume=/:/host", f"{IMAGE}:1.2", "/bin/busybox", "sh", "-c", inside, "sh"),
        *COMMAND,
    ]


def _staying(port: int, mark: str) -> list[str]:
    """Return the command by which a container asks once, and stays connected."""
    request = f"GET /?n={mark} HTTP/1.1\\r\\nHost: till\\r\\n\\r\\n"
    script = f"(printf '{request}'; busybox sleep 60) | busybox nc 127.0.0.1 {port}"
    return ["/bin/busybox", "sh", "-c", script]


def test_control_groups_from_inside_of_a_pod(start_agent: StartAgent) -> None:
    """Of the container beside it, of a process in its own, and of another pod."""
    uid, other_uid = str(uuid4()), str(uuid4())
    parent = f"--cgroup-parent=/kubepods/burstable/pod{uid}"
    elsewhere = f"--cgroup-parent=/kubepods/burstable/pod{other_uid}"
    config: dict[str, Any] = {
        "containers": {"docker": [], "podman": [], "cri": []},
        "discovery": {"include": [{"executable": "*/busybox"}, {"executable": "busybox"}]},
    }
    with (
        docker_with_image() as docker,
        container_that_serves(docker, parent, "--cgroupns=private") as (identifier, port),
        container_that_serves(docker, elsewhere) as (other, other_port),
        threaded() as server,
    ):
        command = _beside(docker, identifier, parent)
        traced = start_agent(RUNGS[0], config=config, command=command)
        mark, own = new_mark(), docker.run("inspect", "--format={{.Id}}", SIDECAR).strip()
        drive(port, ["/"] * 2)
        drive(other_port, ["/"])
        docker.run("exec", "--detach", identifier, *_staying(server.port, f"{mark}-stays"))
        docker.run("exec", SIDECAR, *asking(server.port, f"{mark}-own"))
        beside = traced.backend.expect(2, port=port, kind=SERVER)
        spans = traced.backend.expect(2, port=server.port, kind=CLIENT)
        inside, stays = sorted(spans, key=lambda span: span.mark)
        (stranger,) = traced.backend.expect(1, port=other_port, kind=SERVER)
        assert {_place(span) for span in beside} == {(identifier, uid)}
        assert _place(inside) == (own, uid)
        assert _place(stays) == (identifier, uid)
        assert stays.resource["process.executable.path"] == "/bin/busybox", "it was read in /proc"
        assert _place(stranger) == (other, other_uid)
        traced.agent.stop()  # before the container whose processes it shares


def _place(span: SeenSpan) -> tuple[Any, Any]:
    return span.resource.get("container.id"), span.resource.get("k8s.pod.uid")
