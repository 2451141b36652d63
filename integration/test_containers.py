"""Requests of real containers, by Docker, Podman and containerd, with and without what those tell of them."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.containers import (
    IMAGE,
    Podman,
    archive,
    asking,
    container_that_serves,
    docker_with_image,
    serving,
    started,
)
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port, is_listening
from integration.harness.rungs import RUNGS
from integration.harness.servers import threaded
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.image.daemon import Daemon

StartAgent = Callable[..., Traced]
RUNG = RUNGS[0]  # who it was is the same on every rung
BRIEF = 6

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def docker() -> Iterator[Daemon]:
    """A daemon that has the image."""
    with docker_with_image() as daemon:
        yield daemon


def _config(docker: str = "", podman: str = "", wait: int = 1000, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"docker": [docker] if docker else [], "podman": [podman] if podman else []}
    observed = [{"executable": "*/busybox"}, {"executable": "busybox"}]
    asked["wait_milliseconds"] = wait
    return {"containers": asked, "discovery": {"include": observed}, **more}


def _path(docker: Daemon) -> str:
    return docker.socket.removeprefix("unix://")


def _told(span: SeenSpan) -> dict[str, Any]:
    return {key: value for key, value in span.resource.items() if key.startswith("container.")}


def _all_of(identifier: str, name: str, runtime: str, image: str = IMAGE) -> dict[str, Any]:
    return {
        "container.id": identifier,
        "container.name": name,
        "container.image.name": image,
        "container.image.tags": ["1.2"],
        "container.runtime.name": runtime,
    }


def test_a_container_of_docker(start_agent: StartAgent, docker: Daemon) -> None:
    """From before the agent, and from after it: all that Docker knows, from the first request."""
    with container_that_serves(docker, "--name=old-till") as (old, old_port):
        traced = start_agent(RUNG, config=_config(_path(docker)))
        with container_that_serves(docker, "--name=new-till", "--label=com.docker.compose.service=web") as (
            new,
            new_port,
        ):
            for port in (old_port, new_port):
                drive(port, ["/"] * 2)
            for identifier, port, name, service in (
                (old, old_port, "old-till", "old-till"),
                (new, new_port, "new-till", "web"),
            ):
                for span in traced.backend.expect(2, port=port, kind=SERVER):
                    assert _told(span) == _all_of(identifier, name, "docker")
                    assert span.service == service
    assert traced.agent.ledger()["process_facts_late"] == 0


def test_containers_that_live_for_a_moment(start_agent: StartAgent, docker: Daemon) -> None:
    """They are gone, and removed, before anybody could inspect them."""
    with threaded() as server:
        traced = start_agent(RUNG, config=_config(_path(docker)))
        mark = new_mark()
        for i in range(BRIEF):
            words = ["run", "--rm", "--network=host", f"--name=brief-{i}-{mark}", f"{IMAGE}:1.2"]
            docker.run(*words, *asking(server.port, f"{mark}-{i}"))
        spans = traced.backend.expect(BRIEF, port=server.port, kind=CLIENT)
        for span in spans:
            number = span.mark.rpartition("-")[2]
            assert _told(span) == _all_of(
                str(span.resource["container.id"]), f"brief-{number}-{mark}", "docker"
            )
        assert len({span.resource["container.id"] for span in spans}) == BRIEF
    assert traced.agent.ledger()["process_facts_late"] == 0


def test_without_a_socket_the_control_group_tells(start_agent: StartAgent, docker: Daemon) -> None:
    traced = start_agent(RUNG, config=_config("/nowhere/docker.sock"))
    with container_that_serves(docker) as (identifier, port):
        drive(port, ["/"])
        (span,) = traced.backend.expect(1, port=port, kind=SERVER)
    assert _told(span) == {"container.id": identifier, "container.runtime.name": "docker"}
    assert span.service == "busybox"


def test_containers_are_selected(start_agent: StartAgent, docker: Daemon) -> None:
    """By name, image and label: of containers of one image those that are meant, once they are known."""
    rules = [{"container": "wanted-*", "image": f"{IMAGE}:1.*", "container_labels": ["tier=front*"]}]
    config = {**_config(_path(docker)), "discovery": {"include": rules}}
    traced = start_agent(RUNG, config=config)
    wanted, other = "--label=tier=frontend", "--label=tier=back"
    with (
        container_that_serves(docker, "--name=wanted-1", wanted) as (_, port),
        container_that_serves(docker, "--name=wanted-2", other) as (_, labelled),
        container_that_serves(docker, "--name=other", wanted) as (_, named),
        threaded() as server,
    ):
        ports = (port, labelled, named, server.port)
        for one in ports:
            drive(one, ["/"] * 2)
        traced.backend.expect(2, port=port, kind=SERVER)
        assert {span.port for span in traced.backend.spans()} == {port}


class Door:
    """A socket in front of the daemon's, which lets nobody through before `open` is set."""

    def __init__(self, path: Path, behind: str) -> None:
        self.open = threading.Event()
        self._behind = behind
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.open.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self.open.wait()
        with socket.socket(socket.AF_UNIX) as far, near:
            far.connect(self._behind)
            back = threading.Thread(target=_copy, args=(far, near), daemon=True)
            back.start()
            _copy(near, far)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_facts_that_come_late(start_agent: StartAgent, docker: Daemon, tmp_path: Path) -> None:
    """What a container does is held until the daemon answers, in order; what others do is not."""
    door = Door(tmp_path / "door", _path(docker))
    try:
        config = _config(str(tmp_path / "door"), wait=10_000)
        config["discovery"]["include"].append({"command_line": "*threaded.py*"})
        traced = start_agent(RUNG, config=config)
        with container_that_serves(docker, "--name=late-till") as (identifier, port), threaded() as other:
            drive(port, ["/"] * 3)
            drive(other.port, ["/json"])
            traced.backend.expect(1, port=other.port, kind=SERVER)
            assert not traced.backend.spans(port, SERVER)
            door.open.set()
            for span in traced.backend.expect(3, port=port, kind=SERVER):
                assert _told(span) == _all_of(identifier, "late-till", "docker")
        assert traced.agent.ledger()["process_facts_late"] == 0
    finally:
        door.close()


def test_a_daemon_that_does_not_answer(start_agent: StartAgent, docker: Daemon, tmp_path: Path) -> None:
    """Nobody waits longer than the bound: the spans come without its facts, and that is counted."""
    door = Door(tmp_path / "door", _path(docker))
    try:
        traced = start_agent(RUNG, config=_config(str(tmp_path / "door"), wait=300))
        with container_that_serves(docker, "--name=unknown-till") as (identifier, port):
            drive(port, ["/"] * 3)
            for span in traced.backend.expect(3, port=port, kind=SERVER):
                assert _told(span) == {"container.id": identifier, "container.runtime.name": "docker"}
        assert traced.agent.ledger()["process_facts_late"] >= 1
    finally:
        door.close()


def test_containers_of_podman(start_agent: StartAgent) -> None:
    """By the same API on Podman's own socket; one that serves, and some that live for a moment."""
    with tempfile.TemporaryDirectory(prefix="podman-") as folder, threaded() as server:
        podman = Podman(Path(folder))
        podman.run("import", "-", f"{IMAGE}:1.2", data=archive())
        with podman.service():
            traced = start_agent(RUNG, config=_config(podman=str(podman.socket)))
            port, mark = free_port(), new_mark()
            words = [
                "--network=host",
                "--cgroups=enabled",
                "--ulimit=nofile=1024:1024",
                "--ulimit=nproc=1024:1024",
                f"localhost/{IMAGE}:1.2",
            ]
            identifier = podman.run("run", "--detach", "--name=pod-till", *words, *serving(port))
            assert wait_until(lambda: is_listening(port))
            drive(port, ["/"] * 2)
            for i in range(2):
                podman.run("run", "--rm", f"--name=pod-{i}", *words, *asking(server.port, f"{mark}-{i}"))
            for span in traced.backend.expect(2, port=port, kind=SERVER):
                assert _told(span) == _all_of(identifier, "pod-till", "podman", f"localhost/{IMAGE}")
            spans = traced.backend.expect(2, port=server.port, kind=CLIENT)
            assert {span.service for span in spans} == {"pod-0", "pod-1"}


def test_containers_of_containerd(start_agent: StartAgent, docker: Daemon) -> None:
    """They are known by their control group alone; the id is such as nerdctl and the kubelet give."""
    with tempfile.TemporaryDirectory(prefix="containerd-") as name:
        folder, port, identifier = Path(name), free_port(), "c0ffee" + "0" * 58
        address = folder / "containerd.sock"
        words = ["containerd", f"--root={folder}/root", f"--state={folder}/state", f"--address={address}"]
        client = ["ctr", f"--address={address}"]
        with started(*words, ready=address, log=folder / "log"):
            docker.run("save", f"--output={folder}/image", f"{IMAGE}:1.2")
            _call(*client, "image", "import", f"{folder}/image")
            traced = start_agent(RUNG, config=_config())
            running = ["run", "--detach", "--net-host", f"docker.io/library/{IMAGE}:1.2", identifier]
            _call(*client, *running, *serving(port))
            try:
                assert wait_until(lambda: is_listening(port))
                drive(port, ["/"])
                (span,) = traced.backend.expect(1, port=port, kind=SERVER)
                assert _told(span)["container.id"] == identifier
            finally:
                _call(*client, "task", "delete", "--force", identifier)


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, timeout=slack(PATIENCE), check=False, text=True)
    assert done.returncode == 0, done.stderr
