"""Sources of facts that are listed once and then followed, each by a thread of its own.

Who asks only ever reads what is there already: a source that is slow, away or talks nonsense costs
facts, and never time.
"""

from __future__ import annotations

import json
import logging
import random
from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Generic, TypeVar

__all__ = ["GONE_KEPT", "Cache", "Follower", "SourceError", "object_of"]

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
GONE_KEPT = 1024

Fact = TypeVar("Fact")


class SourceError(Exception):
    """A source answered with something that cannot be used; the message says what."""


class Cache(Generic[Fact]):
    """Facts by key: of what is there, and of what has been there last. One thread writes, any reads.

    What has gone is kept for a while, because records of it come late. Both are bounded; `put` is
    False for what finds no room.
    """

    def __init__(self, capacity: int, gone: int = GONE_KEPT) -> None:
        self._capacity = capacity
        self._gone_kept = gone
        self._here: dict[str, Fact] = {}
        self._gone: OrderedDict[str, Fact] = OrderedDict()

    def __len__(self) -> int:
        return len(self._here) + len(self._gone)

    def get(self, key: str) -> Fact | None:
        """Return what is known, or was last."""
        found = self._here.get(key)
        return found if found is not None else self._gone.get(key)

    def put(self, key: str, fact: Fact) -> bool:
        """Remember a fact, in place of what was known before."""
        if key not in self._here and len(self._here) >= self._capacity:
            return False
        self._here[key] = fact
        self._gone.pop(key, None)
        return True

    def remove(self, key: str) -> None:
        """It is no longer there."""
        fact = self._here.get(key)
        if fact is not None:
            self._gone[key] = fact  # first, so that a reader finds it in one or the other
            del self._here[key]
            while len(self._gone) > self._gone_kept:
                self._gone.popitem(last=False)

    def keep_only(self, keys: set[str]) -> None:
        """A new list has come: what it does not have has gone."""
        for key in [key for key in self._here if key not in keys]:
            self.remove(key)


class Follower:
    """Runs `follow` on a thread of its own, again and again, with pauses that grow while it fails.

    `follow(listed)` lists, calls `listed`, and follows until the connection ends. `hopeful` is whether
    facts that are not there yet may still come.
    """

    def __init__(self, name: str, follow: Callable[[Callable[[], None]], None]) -> None:
        self._name = name
        self._follow = follow
        self._stopping = Event()
        self._complained = False
        self._pause = FIRST_PAUSE_SECONDS
        self._spread = random.Random()  # noqa: S311  not a secret: agents of a cluster are not to ask at once
        self.hopeful = True
        self._thread = Thread(target=self._run, name=name[:15], daemon=True)

    def start(self) -> None:
        """Begin. The thread is a daemon: it may be waiting for an answer when the agent ends."""
        self._thread.start()

    def stop(self) -> None:
        """No further attempt."""
        self._stopping.set()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond `stop`."""
        self._stopping.wait(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow(self._has_listed)
            except FileNotFoundError as error:  # no such runtime here, or not yet
                logger.debug("%s: %s", self._name, error)
            except Exception as error:  # whatever it says or does, it is asked again
                self._complain(error)
            self.hopeful = False
            self._stopping.wait(self._pause * self._spread.uniform(0.7, 1.3))
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    def _has_listed(self) -> None:
        if self._complained:
            logger.info("%s answers again", self._name)
        self._complained = False
        self._pause = FIRST_PAUSE_SECONDS
        self.hopeful = True

    def _complain(self, error: Exception) -> None:
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        logger.log(
            level,
            "%s does not answer, and is asked again: %s; names are missing until it does (docs/identity.md)",
            *(self._name, error),
            extra={"source": self._name, "reason": str(error)},
        )


def object_of(raw: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises `SourceError`."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise SourceError("not a JSON object")
    return value
