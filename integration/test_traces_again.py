"""What a server asks twice for one request, redirected or after a reset: both are that request's children."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration.conftest import Traced
from integration.harness.hops import TRACES, UVICORN, Hops
from integration.harness.measured import drive, new_mark
from integration.harness.spans import CLIENT, SERVER, describe

# Who works on what is the same on every rung.
pytestmark = pytest.mark.one_rung

CLIENTS = {
    "threads": [sys.executable, TRACES / "again_threads.py"],
    "asyncio": [*UVICORN, "--loop", "asyncio", "again_asyncio:app", "--port"],
}
AGAIN = {"moved": ["end", "moved"], "lost": ["lost", "lost"]}
"""By what is asked first: the paths that are asked, in order of their names."""
AT_ONCE, EACH = 4, 5


@pytest.fixture(scope="module")
def hop() -> Iterator[Hops]:
    with Hops() as hops:
        yield hops


@pytest.mark.parametrize("first", AGAIN)
@pytest.mark.parametrize("client", CLIENTS)
def test_both_are_children_of_the_same_request(traced: Traced, hop: Hops, client: str, first: str) -> None:
    """With several such requests at once. The one that was reset is an error."""
    asks = hop(f"{client}_again", CLIENTS[client])
    asked = hop("again", [sys.executable, TRACES / "again_server.py"])
    drive(asks.port, [f"/{asked.port}/end/warm"] * 4)
    mark = new_mark()

    def one(worker: int) -> None:
        drive(asks.port, [f"/{asked.port}/{first}/{worker}-{number}" for number in range(EACH)], mark=mark)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
    requests = AT_ONCE * EACH
    seen = traced.backend.expect(6 * requests, mark=mark)
    outer = [span for span in seen if span.kind == SERVER and span.port == asks.port]
    assert len(outer) == requests, describe(seen)
    for server in outer:
        inner = [span for span in seen if span.kind == CLIENT and span.parent_id == server.span_id]
        paths = sorted(span.target.partition("?")[0].split("/")[1] for span in inner)
        assert paths == AGAIN[first], describe(inner)
        assert {span.trace_id for span in inner} == {server.trace_id}
        assert sum(span.is_error for span in inner) == (first == "lost"), describe(inner)
        names = {span.target.partition("?")[0].split("/")[2] for span in inner}
        assert names == {server.target.partition("?")[0].split("/")[3]}
