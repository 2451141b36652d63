"""Samples and helpers for the tests of the export stage."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from otel_ebpf.export.books import Books
from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.ledger import Ledger
from otel_ebpf.signals.span import AttributeBlock, Span, SpanKind, SpanTemplate
from tests.waiting import LIMIT_SECONDS

SHOP = Service(1, "shop", "python", (("service.name", "shop"), ("process.pid", 17)))
TEMPLATE_FIELDS = ("service", "kind", "name", "error", "attributes", "trace_state")
CART = Service(2, "cart", "go", (("service.name", "cart"),))


def span(number: int = 0, service: Service = SHOP, status: int = 200, milliseconds: float = 12.5) -> Span:
    """Return a span that is told apart by its number: in its id, its path, its start."""
    start = 1_700_000_000_000_000_000 + number
    common = (("http.request.method", "GET"), ("http.response.status_code", status))
    return Span(
        template=SpanTemplate(service, SpanKind.SERVER, "GET /users/{id}", status >= 500, common),
        trace_id=(number + 1).to_bytes(16, "big"),
        span_id=(number + 1).to_bytes(8, "big"),
        parent_span_id=b"",
        trace_flags=1,
        parent_is_remote=False,
        start=start,
        end=start + int(milliseconds * 1e6),
        shared=AttributeBlock((("network.peer.address", "127.0.0.1"),)),
        peer_port=0,
        own=(("url.path", f"/users/{number}"),),
    )


def changed(span: Span, **changes: Any) -> Span:
    """Return `span` with other fields, or fields of its template."""
    template = span.template
    facts = {name: changes.pop(name, getattr(template, name)) for name in TEMPLATE_FIELDS}
    return span._replace(template=SpanTemplate(**facts), **changes)


def balance(ledger: Ledger, books: Books) -> dict[str, int]:
    """Return the columns of the books that are not zero; assert that they balance.

    For when nothing is sent: a batch moves from one column to another in two steps.
    """
    columns = columns_of(ledger, books)
    seen = ledger.totals()[books.seen] + ledger.totals()[books.recovered]
    assert seen == sum(columns.values()), (seen, columns)
    assert all(number >= 0 for number in columns.values()), columns
    return columns


def columns_of(ledger: Ledger, books: Books) -> dict[str, int]:
    """Return the columns of the books that are not zero, at any moment."""
    totals = ledger.totals()
    columns = {name: totals[number] for name, number in books._asdict().items() if name != "unit"}
    del columns["seen"], columns["recovered"]
    return {name: number for name, number in columns.items() if number}


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port of loopback on which connections are refused, until someone listens there."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class Silent:
    """A port that takes connections and never says a word."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(LIMIT_SECONDS)
        self._taken: list[socket.socket] = []
        self.port: int = self._server.getsockname()[1]

    def take(self) -> None:
        """Wait for a connection."""
        self._taken.append(self._server.accept()[0])

    def close(self) -> None:
        """Close what is open."""
        for one in (self._server, *self._taken):
            one.close()


@contextmanager
def silent_port() -> Iterator[Silent]:
    """Give a port that takes connections and never says a word."""
    with closing(Silent()) as silent:
        yield silent
