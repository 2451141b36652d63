"""The two ends of a connection are brought together by TCP's own numbers, whatever lies between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from integration.conftest import Traced
from integration.harness.build import PROGRAMS
from integration.harness.limits import PATIENCE, slack
from integration.harness.measured import new_mark
from integration.harness.network import SERVICES, SERVICES_6, TRANSLATED, two_networks
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from integration.harness.traces import judge, torn

TRACES = PROGRAMS / "traces"
REQUESTS = 40


@pytest.mark.parametrize("way", ["veth", "DNAT", "IPv6"])
def test_services_in_another_network_namespace(start_agent: Callable[..., Traced], way: str) -> None:
    """By IPv6 the services ask each other too, by ::1; by DNAT, whom the client calls does not exist."""
    first, second, mark = free_port(), free_port(), new_mark()
    observed = [{"command_line": "*threaded_hop.py*"}, {"command_line": "*visitor.py*"}]
    six = way == "IPv6"
    named = {"veth": SERVICES, "DNAT": TRANSLATED, "IPv6": SERVICES_6}[way]
    address = f"[{named}]:{first}" if six else f"{named}:{80 if way == 'DNAT' else first}"
    with two_networks(first) as networks:
        hop = [*networks.within(networks.services), sys.executable, str(TRACES / "threaded_hop.py")]
        outer_hop, inner_hop = ("::", "::1") if six else ("0.0.0.0", "127.0.0.1")
        with Program([*hop, str(first), outer_hop]), Program([*hop, str(second), inner_hop]):
            networks.wait_listening(first)
            networks.wait_listening(second)
            traced = start_agent(RUNGS[0], config={"discovery": {"include": observed}})
            visit = [*networks.within(networks.visitors), sys.executable, str(TRACES / "visitor.py")]
            words = [*visit, address, f"{second}s" if six else str(second), mark, str(REQUESTS), "4"]
            subprocess.run(words, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL)
            seen = traced.backend.expect(4 * REQUESTS, mark=mark)
    outer = _paired(seen, "visitor")
    assert {span.attributes["server.address"] for span in outer} == {named}
    verdict = judge(seen, "visitor", translated=way == "DNAT")
    assert not verdict.wrong, str(verdict)
    assert not verdict.missing, str(verdict)


def test_curl_by_an_address_that_is_translated(start_agent: Callable[..., Traced]) -> None:
    """A visitor outside that is no program of these tests."""
    first, second, mark = free_port(), free_port(), new_mark()
    observed = [{"command_line": "*threaded_hop.py*"}, {"executable": "*/curl"}]
    with two_networks(first) as networks:
        hop = [*networks.within(networks.services), sys.executable, str(TRACES / "threaded_hop.py")]
        with Program([*hop, str(first), "0.0.0.0"]), Program([*hop, str(second)]):
            networks.wait_listening(first)
            networks.wait_listening(second)
            traced = start_agent(RUNGS[0], config={"discovery": {"include": observed}})
            url = f"http://{TRANSLATED}:80/walk/[0-{REQUESTS - 1}]/{second}?n={mark}"
            words = [*networks.within(networks.visitors), "curl", "-sS", "--fail", url]
            subprocess.run(words, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL)
            seen = traced.backend.expect(4 * REQUESTS, mark=mark)
    _paired(seen, "curl")
    verdict = judge(seen, "curl", translated=True)
    assert not verdict.wrong, str(verdict)
    assert not verdict.missing, str(verdict)


def test_requests_that_came_with_the_syn(start_agent: Callable[..., Traced]) -> None:
    """TCP fast open (RFC 7413): the first bytes are sent, and taken, before the handshake is over."""
    first, second, mark = free_port(), free_port(), new_mark()
    observed = [{"command_line": "*threaded_hop.py*"}, {"command_line": "*hasty_visitor.py*"}]
    with two_networks(first) as networks:
        networks.open_fast()
        hop = [*networks.within(networks.services), sys.executable, str(TRACES / "threaded_hop.py")]
        with Program([*hop, str(first), "0.0.0.0"]), Program([*hop, str(second)]):
            networks.wait_listening(first)
            networks.wait_listening(second)
            traced = start_agent(RUNGS[0], config={"discovery": {"include": observed}})
            visit = [*networks.within(networks.visitors), sys.executable, str(TRACES / "hasty_visitor.py")]
            words = [*visit, f"{SERVICES}:{first}", str(second), mark, str(REQUESTS)]
            subprocess.run(words, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL)
            assert networks.fast_opens() >= REQUESTS
            seen = traced.backend.expect(4 * REQUESTS, mark=mark)
    _paired(seen, "hasty_visitor")


def _paired(seen: Sequence[SeenSpan], visitor: str) -> list[SeenSpan]:
    """Check that each request from outside is one trace; return the spans of those who made them."""
    outer = [span for span in seen if span.kind == CLIENT and span.service == visitor]
    clients = {span.span_id: span for span in outer}
    served = [span for span in seen if span.kind == SERVER and span.parent_id in clients]
    assert len(served) == REQUESTS
    assert all(clients[span.parent_id].target == span.target for span in served)
    assert not torn(seen)
    return outer
