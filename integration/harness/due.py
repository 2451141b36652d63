"""The spans of a conversation against those that are due, one by one in order."""

from __future__ import annotations

from collections.abc import Sequence

from integration.harness.backend import Backend
from integration.harness.odd_cases import Due
from integration.harness.spans import CLIENT, SERVER, SeenSpan, describe


def check_due(spans: Sequence[SeenSpan], due: Sequence[Due]) -> None:
    """Fail unless these are the spans that are due."""
    # Pipelined requests begin by one read, and may end by one: arrival does not tell their order.
    ordered, before = sorted(spans, key=lambda span: (span.start, span.end, str(span.target))), 0
    for span, want in zip(ordered, due, strict=True):
        assert (span.method, span.target, span.status) == (want.method, want.path, want.status), describe(
            spans
        )
        error = str(span.attributes.get("error.type", ""))
        assert error in want.errors, f"error.type {error!r}, not of {want.errors}: {span}"
        assert span.is_error == bool(error), span
        assert span.duration / 1e9 >= want.at_least, f"{want}: {span}"
        assert (span.start - before) / 1e9 >= want.after, f"{want}, {describe(spans)}"
        before = span.end


def expect_due(backend: Backend, port: int, served: Sequence[Due], asked: Sequence[Due]) -> list[SeenSpan]:
    """Wait for the spans of both sides of a conversation, check and return them."""
    servers = backend.expect(len(served), port=port, kind=SERVER)
    clients = backend.expect(len(asked), port=port, kind=CLIENT, quiet=0)
    check_due(servers, served)
    check_due(clients, asked)
    # An id is made of connection, offset and role: only the role differs.
    assert not {span.span_id for span in servers} & {span.span_id for span in clients}
    return servers + clients
