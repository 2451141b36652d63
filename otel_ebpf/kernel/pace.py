"""How long records may gather before they are read.

A batch that is too small pays for a wakeup of its own; one that is too large keeps a processor from the
very servers that are observed (docs/adr/0004-leave-processors-to-who-needs-them.md).
"""

from __future__ import annotations

from typing import Final

TARGET: Final = 32
"""Records in a batch: about a third of a millisecond's work."""

SHORTEST: Final = 0.001
LONGEST: Final = 0.01


class Pace:
    """Follows the rate at which records come. Used by one thread."""

    def __init__(self) -> None:
        """Start as on an idle host."""
        self._pause = LONGEST

    def pause(self, taken: int) -> float:
        """Return the seconds to wait after a batch of `taken` records, at least one."""
        self._pause = min(max(self._pause * TARGET / taken, SHORTEST), LONGEST)
        return self._pause
