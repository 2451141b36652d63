"""What resource detectors find out is in every resource: a real one, which asks a metadata service."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server, threaded
from integration.harness.spans import SERVER

StartAgent = Callable[..., Traced]
IDENTITY = {
    "accountId": "123456789012",
    "region": "eu-central-1",
    "availabilityZone": "eu-central-1b",
    "instanceId": "i-0a1b2c3d",
    "instanceType": "m5.large",
}
ANSWERS = {
    "/latest/api/token": "a-token",
    "/latest/dynamic/instance-identity/document": json.dumps(IDENTITY),
    "/latest/meta-data/hostname": "till.internal",
}
DETECTED = {
    "cloud.provider": "aws",
    "cloud.platform": "aws_ec2",
    "cloud.account.id": "123456789012",
    "cloud.region": "eu-central-1",
    "host.id": "i-0a1b2c3d",
    "host.name": "till.internal",
    "host.type": "m5.large",
}


@contextmanager
def _metadata(opened: Event) -> Iterator[dict[str, str]]:
    """Answer as the metadata service of a cloud, once it is `opened`; yield how a client gets there.

    Its address is one that no test may use: this is the proxy to it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            opened.wait()
            body = ANSWERS[self.path.partition("169.254.169.254")[2]].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield {"http_proxy": f"http://127.0.0.1:{server.server_port}", "no_proxy": "localhost,127.0.0.1"}
    finally:
        opened.set()
        server.shutdown()
        server.server_close()


def _options(server: Server, names: str, variables: dict[str, str]) -> dict[str, Any]:
    config = {"discovery": {"include": [{"ports": [server.port]}]}}
    environment = {**variables, "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": names}
    return {"config": config, "environment": environment}


def _told(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: resource.get(key) for key in DETECTED}


def test_a_cloud_s_detector(start_agent: StartAgent) -> None:
    opened = Event()
    opened.set()
    with _metadata(opened) as variables, threaded("till") as server:
        traced = start_agent(RUNGS[0], **_options(server, "aws_ec2, no_such_one", variables))
        assert wait_until(lambda: "no_such_one" in traced.agent.log)
        drive(server.port, ["/json"] * 2)
        for span in traced.backend.expect(2, port=server.port, kind=SERVER):
            assert _told(span.resource) == DETECTED
            assert span.service == "till"


SLOW = """
from opentelemetry.sdk.resources import Resource, ResourceDetector
from pathlib import Path
from time import sleep


class Slow(ResourceDetector):
    def detect(self):
        while not Path({go!r}).exists():
            sleep(0.05)
        agent = {{"service.name": "agent", "process.pid": 1, "container.id": "agent"}}
        return Resource({{"cloud.provider": "slow", **agent}})


class Wrong(ResourceDetector):
    def detect(self):
        raise ValueError("wrong")
"""


@pytest.fixture
def slow(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Install detectors, one of which answers when a file is there; return the variables and that file."""
    go, about = tmp_path / "go", tmp_path / "slow_detector-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-detector\nVersion: 1\n")
    names = "[opentelemetry_resource_detector]\nslow = slow_detector:Slow\nwrong = slow_detector:Wrong\n"
    (about / "entry_points.txt").write_text(names)
    (tmp_path / "slow_detector.py").write_text(SLOW.format(go=str(go)))
    return {"PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)])}, go


def test_a_detector_that_is_slow(start_agent: StartAgent, slow: tuple[dict[str, str], Path]) -> None:
    """Nothing waits for it: what it says is there from then on, and what is not of the host never."""
    variables, go = slow
    with threaded("till") as server:
        traced = start_agent(RUNGS[0], **_options(server, "slow,wrong", variables))
        go.touch()

        def is_known() -> bool:
            drive(server.port, ["/json"])
            spans = traced.backend.spans(server.port, SERVER)
            return any(span.resource.get("cloud.provider") == "slow" for span in spans)

        assert wait_until(is_known, every=0.2)
        assert "wrong" in traced.agent.log
        for span in traced.backend.spans(server.port, SERVER):
            assert (span.service, span.pid) == ("till", server.program.pid)
            assert "container.id" not in span.resource


def test_a_detector_that_never_answers(start_agent: StartAgent, slow: tuple[dict[str, str], Path]) -> None:
    variables, _ = slow
    with threaded("till") as server:
        traced = start_agent(RUNGS[0], **_options(server, "slow", variables))
        assert wait_until(lambda: "no longer waited for" in traced.agent.log)
        drive(server.port, ["/json"])
        (span,) = traced.backend.expect(1, port=server.port, kind=SERVER)
        assert "cloud.provider" not in span.resource
