"""Libraries that are hard to get at: in another root, loaded late, replaced, or not to be understood.

Each is a file of the test's own, and so new to the agent. Once it has probes, no request may be missed.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from integration.conftest import Traced
from integration.harness import namespace
from integration.harness.asking import Asking
from integration.harness.attaching import all_seen, asking, late_tls, probed, threaded_tls
from integration.harness.certificates import certificates
from integration.harness.compare import check, check_scheme
from integration.harness.containers import container_that_serves, docker_with_image, give_root
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port
from integration.harness.private_library import private_library
from integration.harness.provoke import StartAgent, only
from integration.harness.roots import LIBRARY, other_root
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server
from integration.harness.spans import SERVER

# Files are found, and probes attached, in the same way on every rung.
RUNG = RUNGS[0]

in_both_orders = pytest.mark.parametrize("first", ["programs", "agent"])
"""What is started first."""


@contextmanager
def _running(
    first: str,
    start_agent: StartAgent,
    port: int,
    server: AbstractContextManager[Server],
    client: AbstractContextManager[Asking],
) -> Iterator[tuple[Traced, Server, Asking]]:
    """Start the agent and both programs, which have used their library when this yields."""
    traced = start_agent(RUNG, config=only(port)) if first == "agent" else None
    with server as serves, client as asks:
        asks.ask(f"https://127.0.0.1:{port}/json", new_mark(), 1)
        yield traced or start_agent(RUNG, config=only(port)), serves, asks


@in_both_orders
def test_openssl_1_1_in_another_root(start_agent: StartAgent, first: str) -> None:
    """Server and client of another distribution, chrooted: its library's path means nothing out here."""
    assert not Path(LIBRARY).exists()
    port = free_port()
    with (
        other_root() as root,
        _running(first, start_agent, port, root.server(port), root.client()) as (traced, server, client),
    ):
        probed(traced, LIBRARY)
        all_seen(traced, server, client)


@in_both_orders
def test_a_mount_namespace(start_agent: StartAgent, tmp_path: Path, first: str) -> None:
    """As in a container: the file is on a file system that only the program itself has mounted."""
    port = free_port()
    mounted = [tmp_path / name for name in ("server", "client")]
    for folder in mounted:
        folder.mkdir()
    with private_library() as library:
        starters = [namespace.starter(library.path, folder) for folder in mounted]
        environments = [{"LD_LIBRARY_PATH": str(folder)} for folder in mounted]
        serving = threaded_tls(port, environments[0], starters[0], stop_signal=signal.SIGKILL)
        client_ = asking(environments[1], starters[1])
        with _running(first, start_agent, port, serving, client_) as (traced, server, client):
            for folder in mounted:
                assert not list(folder.iterdir())
                probed(traced, folder / library.path.name)
            all_seen(traced, server, client)


@in_both_orders
def test_a_container(start_agent: StartAgent, first: str) -> None:
    """Of Docker's, with a library of its own: the file is in the image's layers."""
    config = {
        "discovery": {"include": [{"executable": "*/python3.9"}]},
        "containers": {"docker": [], "podman": []},
    }
    with docker_with_image() as docker, other_root() as root:
        give_root(docker, root.path, "other")
        traced = start_agent(RUNG, config=config) if first == "agent" else None
        with container_that_serves(docker, image="other", command=root.serving) as (identifier, port):
            traced = traced or start_agent(RUNG, config=config)
            drive(port, ["/json"], tls=certificates().client_context())
            probed(traced, LIBRARY)
            mark = new_mark()
            measured = drive(port, ["/json"] * 4, mark=mark, tls=certificates().client_context())
            spans = traced.backend.expect(4, port=port, kind=SERVER, mark=mark)
            check(SERVER, spans, measured, port=port, method="GET", service="threaded", tls="1.3")
            assert {span.resource["container.id"] for span in spans} == {identifier}


@in_both_orders
def test_a_library_that_is_loaded_late(start_agent: StartAgent, first: str) -> None:
    """The agent has looked at both programs, and seen requests of theirs, before they load it."""
    port, tls_port = free_port(), free_port()
    with private_library() as library, ExitStack() as stack:
        config = only(port, tls_port)
        traced = start_agent(RUNG, config=config) if first == "agent" else None
        server = stack.enter_context(late_tls(port, tls_port, library.environment))
        client = stack.enter_context(asking(library.environment))
        traced = traced or start_agent(RUNG, config=config)
        mark = new_mark()
        client.ask(f"http://127.0.0.1:{port}/plain", mark, 2)
        for span in traced.backend.expect(4, port=port, mark=mark):
            check_scheme(span, "http")
        probed(traced, library.path, files=0)
        client.ask(f"http://127.0.0.1:{port}/load", new_mark(), 1)
        client.ask(f"https://127.0.0.1:{tls_port}/json", new_mark(), 1)
        probed(traced, library.path)
        all_seen(traced, server, client)


@pytest.mark.parametrize("upgraded", ["before the agent", "under its eyes"])
def test_a_library_that_is_upgraded(start_agent: StartAgent, upgraded: str) -> None:
    """Who runs keeps the old file, which has no name any more; who starts later has the one of that name."""
    old_port, new_port = free_port(), free_port()
    with private_library() as library, threaded_tls(old_port, library.environment) as old:
        if upgraded == "before the agent":
            library.upgrade()
        traced = start_agent(RUNG, config=only(old_port, new_port))
        probed(traced, library.path)
        if upgraded == "under its eyes":
            library.upgrade()
        assert f"{library.path} (deleted)" in Path(f"/proc/{old.program.pid}/maps").read_text()
        all_seen(traced, old)
        with threaded_tls(new_port, library.environment) as new:
            probed(traced, library.path, files=2)
            all_seen(traced, new)
            all_seen(traced, old)
