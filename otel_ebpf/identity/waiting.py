"""Processes about whose surroundings more may come to be known, and how long that is waited for.

What a process does is held while it `waits`; when the time is over it goes on without, and is looked at
now and then, so that what it does later has the facts that were late.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from otel_ebpf.identity.model import Process
from otel_ebpf.identity.surroundings import Surroundings
from otel_ebpf.kernel.ledger import Entry, Shard

__all__ = ["Key", "Waiting"]

WAITING_MAX = 1024
OVERDUE_MAX = 4096
GIVEN_UP_KEPT = 4096

Key = tuple[int, int]  # (pid in the initial namespace, start in boot-time nanoseconds)


class Waiting:
    """Used by one thread. `clock` is monotonic, in seconds; `shard` counts whom facts came too late for."""

    def __init__(
        self, surroundings: Surroundings, seconds: float, clock: Callable[[], float], shard: Shard
    ) -> None:
        self._surroundings = surroundings
        self._seconds = seconds
        self._clock = clock
        self._counts = shard.counts
        self._until: dict[Key, tuple[float, Process]] = {}
        self._overdue: OrderedDict[Key, Process] = OrderedDict()
        self._given_up: OrderedDict[str, None] = (
            OrderedDict()
        )  # places, so that the next process need not wait

    def __bool__(self) -> bool:
        return bool(self._until)

    def __contains__(self, key: Key) -> bool:
        return key in self._until

    def take(self, process: Process) -> tuple[Process, bool]:
        """Return a process with what is known of where it runs, and whether it waits for more."""
        key = (process.pid, process.start)
        placed, complete, hopeful = self._surroundings.place(process)
        if key in self._until:  # by exec it is another program, in the same place
            self._until[key] = (self._until[key][0], placed)
            return placed, True
        if complete:
            self._overdue.pop(key, None)
            return placed, False
        if hopeful and self._seconds > 0 and _place(placed) not in self._given_up:
            if len(self._until) < WAITING_MAX:
                self._until[key] = (self._clock() + self._seconds, placed)
                return placed, True
            self._counts[Entry.PROCESS_FACTS_LATE] += 1
        self._overdue[key] = placed
        if len(self._overdue) > OVERDUE_MAX:
            self._overdue.popitem(last=False)
        return placed, False

    def settled(self, *, at_once: bool = False) -> list[tuple[Key, Process]]:
        """Return those that need not wait longer, or not at all any more (`at_once`)."""
        if not self._until:
            return []
        now = self._clock()
        found = []
        for key, (until, process) in list(self._until.items()):
            placed, complete, hopeful = self._surroundings.place(process)
            if not complete and hopeful and now < until and not at_once:
                continue
            del self._until[key]
            found.append((key, placed))
            if not complete:
                self._counts[Entry.PROCESS_FACTS_LATE] += 1
                self._give_up(_place(placed))
        return found

    def improved(self, limit: int) -> list[Process]:
        """Look at some of those whose time was over, and return which of them more is known of now."""
        found = []
        for _ in range(min(limit, len(self._overdue))):
            key, process = self._overdue.popitem(last=False)
            placed, complete, _ = self._surroundings.place(process)
            if placed != process:
                found.append(placed)
            elif not complete:
                self._overdue[key] = process
        return found

    def forget(self, key: Key) -> None:
        """It has ended: what is known of it is all there will be."""
        self._overdue.pop(key, None)

    def _give_up(self, place: str) -> None:
        self._given_up[place] = None
        if len(self._given_up) > GIVEN_UP_KEPT:
            self._given_up.popitem(last=False)


def _place(process: Process) -> str:
    container = process.container.identifier if process.container else ""
    return container or (process.pod.uid if process.pod else "")
