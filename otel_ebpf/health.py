"""Whether the agent is alive and ready: its threads note that they go on, and whoever asks gets a verdict.

A backend that is slow or away makes nobody unhealthy: to wait for it, and to try again, is progress. What
is unhealthy is what a restart may mend: a thread that has died, or that has hung in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from threading import Thread, current_thread
from time import monotonic
from typing import Final, NamedTuple

__all__ = ["GRACE_SECONDS", "Health", "Pulse", "Verdict"]

GRACE_SECONDS: Final = 15.0
"""What one step may take beyond the waits that belong to it: a host that is short of processors is slow."""


class Pulse:
    """What a thread notes of itself: `begin` and `beat` are for that thread, `complaint` is for any."""

    def __init__(self, task: str, patience: float = inf) -> None:
        """`task` ends the sentence "the thread that ...". `patience`: seconds that a step may take."""
        self._task = task
        self._patience = patience
        self._thread: Thread | None = None
        self._last = 0.0

    def begin(self) -> None:
        """The thread that calls it is the one to be watched."""
        self.beat()
        self._thread = current_thread()

    def beat(self) -> None:
        """A step is done."""
        self._last = monotonic()

    def end(self) -> None:
        """The thread ends because it is to."""
        self._thread = None

    def complaint(self) -> str:
        """Return what is wrong, "" for nothing."""
        thread = self._thread
        if thread is None:
            return ""
        if not thread.is_alive():
            return f"the thread that {self._task} has died: restart the agent, and report its log"
        silent = monotonic() - self._last
        if silent > self._patience:
            return f"the thread that {self._task} has made no progress for {silent:.0f} s: restart the agent"
        return ""


class Verdict(NamedTuple):
    """`reason` is a sentence of its own, of what is good too."""

    good: bool
    reason: str


class Health:
    """The agent's, from its start to its end. Written by the main thread, asked by any."""

    def __init__(self) -> None:
        self.pulses: Sequence[Pulse] = ()
        self.attached = False
        self._waits_for = "the agent is starting: its probes are not attached yet"

    def ready(self, unseen: str = "") -> None:
        """Everything is attached; `unseen` says what cannot be, if that leaves nothing to observe."""
        self._waits_for = unseen
        self.attached = True

    def stopping(self) -> None:
        """The agent has been asked to end."""
        self._waits_for = "the agent is stopping"
        self.attached = False

    def is_alive(self) -> Verdict:
        """Say whether all threads go on."""
        complaints = [complaint for pulse in self.pulses if (complaint := pulse.complaint())]
        return Verdict(not complaints, "; ".join(complaints) or "alive")

    def is_ready(self) -> Verdict:
        """Say whether requests are observed: everything is attached, and all threads go on."""
        if self._waits_for:
            return Verdict(False, self._waits_for)
        alive = self.is_alive()
        return Verdict(True, "ready") if alive.good else alive
