"""`traceparent` written into requests by agents of the tests' own: what the sampler says, and their end."""

from __future__ import annotations

import pytest

from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.held import all_ids, held_by
from integration.harness.injecting import Asker, echo_server, ids, traceparents
from integration.harness.limits import wait_until
from integration.harness.measured import new_mark
from integration.harness.spans import CLIENT, SERVER

pytestmark = [pytest.mark.guest, pytest.mark.fit_sockmap]


def test_the_flag_is_what_the_sampler_decides(rung: str) -> None:
    """Of whoever has no parent, by the trace id."""
    environment = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    with Backend() as backend, echo_server() as server, Asker() as asker:
        config = {
            "discovery": {"include": [{"ports": [server.port]}]},
            "traces": {"inject": [{"command_line": "*asker.py*"}]},
        }
        with Agent(endpoint=backend.endpoint, rung=rung, config=config, environment=environment):
            asker.wait_selected(server.port)
            asker.connect("halved", server.port)
            mark, sampled = new_mark(), set()
            for number in range(40):
                lines = asker.ask("halved", f"/halved?n={mark}-{number}")
                _, span = ids(lines)
                if traceparents(lines)[0].endswith("-01"):
                    sampled.add(span)
            assert 0 < len(sampled) < 40
            clients = backend.expect(len(sampled), port=server.port, kind=CLIENT, mark=mark)
            assert {span.span_id for span in clients} == sampled
            servers = backend.expect(len(sampled), port=server.port, kind=SERVER, mark=mark)
            assert {span.parent_id for span in servers} == sampled


@pytest.mark.parametrize("killed", [True, False])
def test_when_the_agent_has_ended(rung: str, killed: bool) -> None:
    """Nothing of it stays in the kernel or is written any more, and connections go on."""
    with Backend() as backend, echo_server() as server, Asker() as asker:
        config = {
            "discovery": {"include": [{"ports": [server.port]}]},
            "traces": {"inject": [{"command_line": "*asker.py*", "ports": [server.port]}]},
        }
        agent = Agent(endpoint=backend.endpoint, rung=rung, config=config)
        try:
            agent.launch()
            agent.wait_ready()
            asker.wait_selected(server.port)
            asker.connect("goes on", server.port)
            ids(asker.ask("goes on", "/before", size=1000))
            held = {what: held_by(agent.pid, what) for what in ("prog", "link", "map")}
            if killed:
                agent.kill()
            else:
                agent.stop()
            for what, them in held.items():
                assert them
                assert wait_until(lambda what=what, them=them: not them & all_ids(what)), what
            assert wait_until(lambda: not traceparents(asker.ask("goes on", "/after", size=1000)))
            for size in (0, 1, 100_000):
                assert not traceparents(asker.ask("goes on", "/after", size=size))
            asker.connect("later", server.port)
            assert not traceparents(asker.ask("later", "/after"))
        finally:
            agent.close()
