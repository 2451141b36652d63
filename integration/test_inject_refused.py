"""`traces.inject` on a kernel whose maps of sockets have a fault: it is refused, and nothing else is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from integration.conftest import Traced
from integration.harness.agent import COMMAND
from integration.harness.injecting import Asker, echo_server, traceparents
from integration.harness.measured import new_mark
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER

pytestmark = [pytest.mark.unfit_sockmap, pytest.mark.guest]

INJECT = [{"command_line": "*asker.py*"}]


def test_the_agent_refuses_and_goes_on(start_agent: Callable[..., Traced]) -> None:
    mark = new_mark()
    with echo_server() as server, Asker() as asker:
        config = {"discovery": {"include": [{"ports": [server.port]}]}, "traces": {"inject": INJECT}}
        traced = start_agent(RUNGS[0], config=config)
        refused = traced.agent.doctor()["inject"]
        assert refused["rung"] is None
        assert "has a fault with sockets in a sockmap: " in refused["refused"][0]["reason"]
        said = [line for line in traced.agent.log.splitlines() if "traces.inject is refused" in line]
        assert len(said) == 1
        assert "WARNING" in said[0]
        assert refused["refused"][0]["reason"] in said[0]
        asker.connect("kept", server.port)
        for number in range(5):
            assert not traceparents(asker.ask("kept", f"/kept?n={mark}-{number}", size=number * 1000))
        assert traced.backend.expect(5, port=server.port, kind=CLIENT, mark=mark)
        assert traced.backend.expect(5, port=server.port, kind=SERVER, mark=mark)
        assert traced.agent.status()["injected"] == {}


def test_doctor_says_so_without_an_agent(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"traces": {"inject": INJECT}, "telemetry": {"status_socket": ""}}))
    words = [*COMMAND, "doctor", "--config", str(path)]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "BAD  inject" in text
    assert "not sk_msg: this kernel has a fault with sockets in a sockmap: " in text
    told = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    assert told["healthy"]


def test_nobody_is_asked_where_it_is_not_wanted(start_agent: Callable[..., Traced]) -> None:
    traced = start_agent(RUNGS[0])
    assert "inject" not in traced.agent.doctor()
    assert "inject" not in traced.agent.log
