"""Discovery by whose a process is: its user, its language, its service, its systemd unit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from integration.conftest import Traced
from integration.harness.booted import Booted, booted
from integration.harness.build import SERVERS, go_program
from integration.harness.limits import wait_until
from integration.harness.measured import drive
from integration.harness.ports import free_port, is_listening
from integration.harness.rungs import RUNGS
from integration.harness.servers import Server, serving, threaded
from integration.harness.spans import SERVER, describe

StartAgent = Callable[..., Traced]
Application = Callable[[str], Server]

RUNG = RUNGS[0]  # the decision is the core's, the same on every rung
REQUESTS = 3
TILL = """[Service]
ExecStart=/usr/bin/python3 /programs/servers/threaded.py {port}
"""


def _only(**rule: str) -> dict[str, Any]:
    return {"discovery": {"include": [rule]}}


def _drive(*ports: int) -> None:
    for port in ports:
        drive(port, ["/json"] * REQUESTS)


def _check_only(traced: Traced, wanted: int, other: int) -> None:
    """Nothing of the other server has come by the time that all of the wanted one is there, nor after."""
    traced.backend.expect(REQUESTS, port=wanted, kind=SERVER)
    traced.backend.expect_none(port=other, kind=SERVER, seconds=0.5)
    spans = traced.backend.spans(kind=SERVER)
    assert {span.port for span in spans} == {wanted}, describe(spans)


def _as_nobody() -> AbstractContextManager[Server]:
    port = free_port()
    words = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
    return serving([*words, go_program(SERVERS / "go_server"), str(port)], port, "go_server")


@pytest.mark.parametrize("owner", ["nobody", "65534", "nob*"])
def test_by_owner(start_agent: StartAgent, application: Application, owner: str) -> None:
    """Of two processes of one program, that of the user, by name or number."""
    other = application("go")
    with _as_nobody() as wanted:
        traced = start_agent(RUNG, config=_only(owner=owner))
        _drive(other.port, wanted.port)
        _check_only(traced, wanted.port, other.port)
        (owned,) = {span.resource["process.owner"] for span in traced.backend.spans(kind=SERVER)}
        assert owned == "nobody"


@pytest.mark.fast
@pytest.mark.parametrize(("language", "name"), [("go", "go"), ("nodejs", "node"), ("j*", "java")])
def test_by_language(start_agent: StartAgent, application: Application, language: str, name: str) -> None:
    """What is told by the executable's name, and by what is in it; its Python client is not observed."""
    wanted, other = application(name), application("threaded")
    traced = start_agent(RUNG, config=_only(language=language))
    _drive(other.port, wanted.port)
    _check_only(traced, wanted.port, other.port)
    assert {span.port for span in traced.backend.spans()} == {wanted.port}


def test_by_service(start_agent: StartAgent) -> None:
    """Of two processes of one program, the one that calls itself so."""
    with threaded("till") as wanted, threaded("shop") as other:
        traced = start_agent(RUNG, config=_only(service="ti?l"))
        _drive(other.port, wanted.port)
        _check_only(traced, wanted.port, other.port)


def test_by_service_and_owner(start_agent: StartAgent) -> None:
    """Both must fit: the service is somebody else's."""
    with threaded("till") as server, _as_nobody() as wanted:
        rules = [{"service": "till", "owner": "nobody"}, {"service": "go_server", "owner": "nobody"}]
        traced = start_agent(RUNG, config={"discovery": {"include": rules}})
        _drive(server.port, wanted.port)
        _check_only(traced, wanted.port, server.port)


def _started(debian: Booted, unit: str) -> int:
    port = free_port()
    debian.write(f"/etc/systemd/system/{unit}.service", TILL.format(port=port))
    debian.run("systemctl", "daemon-reload")
    debian.run("systemctl", "start", unit)
    assert wait_until(lambda: is_listening(port))
    return port


@pytest.mark.timeout(1200)  # making the root for the first time takes minutes
def test_by_unit(start_agent: StartAgent) -> None:
    """Of two units of one program, which a systemd has started."""
    with booted() as debian:
        wanted, other = _started(debian, "till"), _started(debian, "shop")
        traced = start_agent(RUNG, config=_only(unit="till"))
        _drive(other, wanted)
        _check_only(traced, wanted, other)
        assert {span.service for span in traced.backend.spans(kind=SERVER)} == {"till"}
