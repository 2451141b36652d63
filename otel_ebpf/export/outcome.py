"""What one attempt to send a request came to."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol

__all__ = ["Exporter", "Outcome", "Signal", "Verdict"]


class Signal(Enum):
    """The signals that this project exports, named as in the paths of OTLP over HTTP."""

    TRACES = "traces"
    METRICS = "metrics"


class Verdict(Enum):
    """How the OTLP specification says to go on after an attempt."""

    ACCEPTED = "accepted"  # perhaps in part
    RETRY = "retry"
    REFUSED = "refused"  # for good: sending it again would be refused again


class Outcome(NamedTuple):
    """The verdict, and what the backend said with it."""

    verdict: Verdict
    message: str = ""
    rejected: int = 0
    """Items of an accepted request that the backend did not take (partial success)."""
    delay: float | None = None
    """Seconds that the backend asks to wait before the next attempt; None if it did not say."""


class Exporter(Protocol):
    """Sends encoded requests of one signal to one backend. One thread at a time."""

    @property
    def target(self) -> str:
        """Where it sends to, for messages."""

    def send(self, body: bytes, timeout: float) -> Outcome:
        """Send `body` within `timeout` seconds. Never raises."""

    def close(self) -> None:
        """Release the connection; a `send` in progress on another thread may end early."""
