"""Requests of pods that nobody but their runtime tells of: containerd, asked by the CRI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from integration.conftest import Traced
from integration.harness.containers import docker_with_image, serving
from integration.harness.cri import REFERENCE, containerd_with_cri
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.ports import free_port, is_listening
from integration.harness.rungs import RUNGS
from integration.harness.spans import SERVER, SeenSpan

StartAgent = Callable[..., Traced]

pytestmark = pytest.mark.timeout(300)


def test_a_pod_that_its_runtime_tells_of(start_agent: StartAgent) -> None:
    """Of one that was there before the agent, and of one that is not in its list."""
    with (
        docker_with_image() as docker,
        TemporaryDirectory(prefix="cri-") as folder,
        containerd_with_cri(Path(folder), docker) as cri,
    ):
        asked = {"docker": [], "podman": [], "cri": [str(cri.socket)], "wait_milliseconds": 10_000}
        observed = [{"executable": "*/busybox"}, {"executable": "busybox"}]
        old, new, older, newer = str(uuid4()), str(uuid4()), free_port(), free_port()
        with cri.pod(old, "till-old", serving(older)) as first:
            assert wait_until(lambda: is_listening(older))
            traced = start_agent(RUNGS[0], config={"containers": asked, "discovery": {"include": observed}})
            with cri.pod(new, "till-new", serving(newer)) as second:
                assert wait_until(lambda: is_listening(newer))
                for port, uid, name, identifier in (
                    (older, old, "till-old", first),
                    (newer, new, "till-new", second),
                ):
                    drive(port, ["/"])
                    (span,) = traced.backend.expect(1, port=port, kind=SERVER)
                    _is_told(span, uid, name, identifier)
        assert traced.agent.ledger()["process_facts_late"] == 0


def _is_told(span: SeenSpan, uid: str, name: str, identifier: str) -> None:
    wanted = {
        "service.name": name,
        "service.namespace": "sales",
        "k8s.pod.uid": uid,
        "k8s.pod.name": name,
        "k8s.namespace.name": "sales",
        "k8s.container.name": "web",
        "container.id": identifier,
        "container.name": "web",
        "container.image.name": REFERENCE,
        "container.image.tags": ["1.2"],
        "container.runtime.name": "containerd",
    }
    assert {key: span.resource.get(key) for key in wanted} == wanted
