"""Jaeger's page, opened by a browser on a trace of several services: what people see of the agent's spans.

The services and the trace are those of the picture in the docs.
"""

from __future__ import annotations

import re
from collections import Counter

from integration.harness.lookups import INTERNAL
from integration.harness.network import HOST
from integration.harness.spans import CLIENT, SERVER, SeenSpan
from tools.picture_of_jaeger import look, shown_trace

VISIT = ("visitor", CLIENT, "GET")
ORDER = ("shop", SERVER, "GET /orders/{id}")
ASK = ("shop", CLIENT, "GET")
DUE = [
    (VISIT, None),
    (("visitor", INTERNAL, f"socket connect {HOST}:8000"), VISIT),
    (ORDER, VISIT),
    (("shop", INTERNAL, "DNS lookup stock.shop.test"), ORDER),
    (ASK, ORDER),
    (("shop", INTERNAL, f"socket connect {HOST}:8443"), ASK),
    (("shop", INTERNAL, "TLS client handshake stock.shop.test"), ASK),
    (("stock", SERVER, "GET /stock/{id}"), ASK),
    (("shop", INTERNAL, "DNS lookup prices.shop.test"), ORDER),
    (ASK, ORDER),
    (("shop", INTERNAL, f"socket connect {HOST}:8001"), ASK),
    (("prices", SERVER, "GET /prices/{id}"), ASK),
]
"""Service, kind and name of each span, and of its parent: all that is made for one order."""

ROW = re.compile(
    r'class="span-svc-name[^"]*"[^>]*>\s*([^<]*?)\s*<.*?class="endpoint-name[^"]*"[^>]*>\s*([^<]*?)\s*<',
    re.DOTALL,
)
"""Of the page's list of spans: whose it is, and what it is called."""


def _described(span: SeenSpan) -> tuple[str, int, str]:
    return span.service, span.kind, span.name


def test_the_page_shows_a_trace_of_several_services() -> None:
    with shown_trace() as (jaeger, trace):
        spans = {one.span_id: one for one in jaeger.spans("visitor") if one.trace_id == trace}
        parents = {one.span_id: spans[one.parent_id] if one.parent_id else None for one in spans.values()}
        found = Counter((_described(spans[one]), up and _described(up)) for one, up in parents.items())
        assert found == Counter(DUE)
        for name, port in (("stock", 8443), ("prices", 8001)):
            _belongs_together(spans, parents, f"{name}.shop.test", port)
        page = look(f"{jaeger.url}/trace/{trace}", "--window-size=1500,1200", "--dump-dom")
        assert Counter(ROW.findall(page)) == Counter((service, name) for (service, _, name), _ in DUE)


def _belongs_together(
    spans: dict[str, SeenSpan], parents: dict[str, SeenSpan | None], host: str, port: int
) -> None:
    """What was done for a request to that host has it for a parent, and not the other one."""
    (asked,) = (
        one for one in spans.values() if one.kind == CLIENT and one.attributes["server.address"] == host
    )
    children = [spans[one].name for one, up in parents.items() if up is asked]
    due = [f"socket connect {HOST}:{port}", f"GET /{host.partition('.')[0]}/{{id}}"]
    if port == 8443:
        due.append(f"TLS client handshake {host}")
    assert sorted(children) == sorted(due)
