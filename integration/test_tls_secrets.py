"""Canaries: what was only ever encrypted on the wire does not leave the agent in the clear.

Each secret is a word of its own. They are looked for in every byte that the backend received, in the
agent's log at its most talkative, and in what it tells of itself.
"""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Callable, Mapping

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.conversation import Steps, converse
from integration.harness.measured import drive, new_mark
from integration.harness.odd_cases import Case
from integration.harness.ports import free_port
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_cases import over_tls

# What a library passes reaches the same code on every rung: test_tls_servers and test_tls_clients run on all.
pytestmark = pytest.mark.one_rung

Application = Callable[[str], Server]
StartAgent = Callable[..., Traced]


class Canaries:
    """Secret words by where each is put; the name of the place is in the message of a failure."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def __getitem__(self, place: str) -> str:
        return self._words.setdefault(place, f"canary{uuid.uuid4().hex}")

    def basic(self, place: str) -> str:
        """Return the value of an Authorization field with the secret as the password."""
        self._words[f"{place}, encoded"] = base64.b64encode(f"user:{self[place]}".encode()).decode()
        return f"Basic {self._words[f'{place}, encoded']}"

    def check(self, traced: Traced, witness: str) -> None:
        """Fail if any of them is in what left the agent; `witness` is a word that must have."""
        status = json.dumps(traced.agent.status())
        traced.agent.stop()  # it has told everything then
        told = {
            "what it exported": b"\0".join(request.body for request in traced.backend.receiver.requests()),
            "its log": traced.agent.log.encode(),
            "its status": status.encode(),
        }
        assert witness.encode() in told["what it exported"], "the search itself finds nothing"
        found = [
            f"the {place} is in {where}"
            for where, text in told.items()
            for place, word in self._words.items()
            if word.encode() in text
        ]
        assert not found, found


def _agent(start_agent: StartAgent, rung: str, port: int) -> Traced:
    return start_agent(
        rung,
        config={"discovery": {"include": [{"ports": [port]}]}},
        environment={"OTEL_LOG_LEVEL": "debug"},
    )


def _headers(canaries: Canaries) -> Mapping[str, str]:
    return {
        "Authorization": f"Bearer {canaries['bearer token']}",
        "Proxy-Authorization": canaries.basic("proxy password"),
        "Cookie": f"session={canaries['cookie']}",
        "X-Api-Key": canaries["key"],
        "Referer": f"https://user:{canaries['password of the referrer']}@127.0.0.1/",
    }


@pytest.mark.parametrize("name", ["nginx_tls", "threaded_tls", "uvicorn_tls", "node_tls", "webrick_tls"])
def test_of_servers(rung: str, start_agent: StartAgent, application: Application, name: str) -> None:
    """Fields, a body, and secret keys of the query, through the libraries of real programs."""
    server, mark, canaries, context = (
        application(name),
        new_mark(),
        Canaries(),
        certificates().client_context(),
    )
    traced = _agent(start_agent, rung, server.port)
    headers = _headers(canaries)
    body = json.dumps({"password": canaries["body"]}).encode()
    drive(server.port, ["/json"], mark=f"{mark}-get", headers=headers, tls=context)
    drive(server.port, ["/echo"], mark=f"{mark}-post", method="POST", body=body, headers=headers, tls=context)
    signed = f"/json?sig={canaries['signature']}&X-Amz-Signature={canaries['other signature']}&then="
    drive(server.port, [signed], mark=f"{mark}-signed", tls=context)
    for kind in (SERVER, CLIENT):
        traced.backend.expect(3, port=server.port, kind=kind)
    canaries.check(traced, mark)


def _case(canaries: Canaries) -> Case:
    request = [
        f"POST https://user:{canaries['password of the URL']}@odd/a?sig={canaries['signature']} HTTP/1.1",
        "Host: odd",
        *(f"{name}: {value}" for name, value in _headers(canaries).items()),
    ]
    response = [
        "HTTP/1.1 302 Found",
        f"Location: https://user:{canaries['password of the location']}@odd/?code={canaries['code']}",
        f"Set-Cookie: session={canaries['new cookie']}; HttpOnly",
    ]
    asked, answered = (
        "\r\n".join([*head, f"Content-Length: {len(body)}", "", body])
        for head, body in ((request, canaries["request's body"]), (response, canaries["response's body"]))
    )
    client: Steps = [["send", asked], ["until", canaries["response's body"]], ["close"]]
    return Case(client, [["until", canaries["request's body"]], ["send", answered], ["eof"]], ())


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])
def test_of_a_conversation(rung: str, start_agent: StartAgent, tls: bool) -> None:
    """Every place of a request and of its response that can hold a secret."""
    canaries, port = Canaries(), free_port()
    case = _case(canaries)
    traced = _agent(start_agent, rung, port)
    converse(*(over_tls(case) if tls else (case.client, case.server)), server_options={"port": port})
    for kind in (SERVER, CLIENT):
        (span,) = traced.backend.expect(1, port=port, kind=kind)
        assert span.status == 302
    canaries.check(traced, "POST")


def test_of_what_was_no_http(rung: str, start_agent: StartAgent) -> None:
    """Bytes that are not understood are not told of either, whatever they are."""
    canaries, port = Canaries(), free_port()
    asked, answered = f"LOGIN {canaries['login']}\r\n", f"OK {canaries['answer']}\r\n"
    case = Case(
        [["send", asked], ["until", "\r\n"], ["send", asked], ["until", "\r\n"], ["close"]],
        [["until", "\r\n"], ["send", answered], ["until", "\r\n"], ["send", answered], ["eof"]],
        (),
    )
    traced = _agent(start_agent, rung, port)
    converse(*over_tls(case), server_options={"port": port})
    traced.backend.expect_none(port=port, kind=SERVER)
    traced.backend.expect_none(port=port, kind=CLIENT, seconds=0)
    canaries.check(traced, "otel-ebpf")


def test_of_a_command_line(rung: str, start_agent: StartAgent, application: Application) -> None:
    """What a client is told as an argument is told to nobody else."""
    server, mark, canaries = application("threaded_tls"), new_mark(), Canaries()
    traced = _agent(start_agent, rung, server.port)
    url = f"https://user:{canaries['password of the URL']}@127.0.0.1:{server.port}/json?n={mark}"
    field = f"Authorization: Bearer {canaries['bearer token']}"
    authority = str(certificates().authority)
    subprocess.run(
        ["curl", "-sf", "--cacert", authority, "-H", field, "-o", "/dev/null", url],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    for kind in (SERVER, CLIENT):
        traced.backend.expect(1, port=server.port, kind=kind, mark=mark)
    canaries.check(traced, mark)
