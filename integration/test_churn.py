"""Processes that live for a moment, many of them: none is missed (benchmarks/churn.py has the minutes)."""

from __future__ import annotations

import pytest

from benchmarks.churn import churn, dropped
from integration.harness.books import imbalances
from integration.harness.spans import CLIENT, SERVER

SECONDS = 5

pytestmark = pytest.mark.timeout(300)


def test_every_process_of_a_moment_is_told_of() -> None:
    """By a span for each, of the service that it was; a server and a client for every request."""
    found = churn(6000, SECONDS)
    assert found.pairs >= SECONDS * 10, "it was no churn"
    assert found.processes == 2 * found.pairs, "all ended well"
    assert (found.missing(SERVER), found.missing(CLIENT)) == (0, 0)
    assert (found.twice, found.unnamed) == (0, 0)
    assert dropped(found.ledger) == {}
    assert imbalances(found.ledger) == []
