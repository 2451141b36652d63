"""A backend, and a sender that tries again soon: what the tests of the way out share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_ebpf.export.sender import Backoff
from tests.otlp_receiver import OtlpReceiver


@pytest.fixture
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the first pause before another attempt 50 ms."""
    monkeypatch.setattr(Backoff, "FIRST", 0.05)


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """Return a backend that takes everything, until it is told otherwise."""
    with OtlpReceiver() as found:
        yield found
