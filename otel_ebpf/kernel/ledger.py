"""The ledger's user-space half: plain counters, one shard for each thread that counts.

`list[int] += 1` is not atomic between threads, so every thread counts in a shard of its own
and a reader sums them: no lock on the hot path. The kernel's half is read from its per-CPU
map (see `kernel.tables`), under the same entry numbers.
"""

from __future__ import annotations

from threading import Lock

from otel_ebpf.kernel.ledger_entries import DESCRIPTIONS, Description, Entry

__all__ = ["DESCRIPTIONS", "Description", "Entry", "Ledger", "Shard"]

SIZE = len(DESCRIPTIONS)


class Shard:
    """Counters of one thread. `counts[Entry.X] += n` is the whole interface of the hot path."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: list[int] = [0] * SIZE

    def add(self, entry: Entry, number: int = 1) -> None:
        """Count `number` more of `entry`."""
        self.counts[entry] += number


class Ledger:
    """All shards. `totals()` is a list indexed by `Entry`."""

    def __init__(self) -> None:
        self._shards: list[Shard] = []
        self._lock = Lock()

    def shard(self) -> Shard:
        """Return a new shard for the calling thread to count in."""
        shard = Shard()
        with self._lock:
            self._shards.append(shard)
        return shard

    def totals(self) -> list[int]:
        """Return the sums over all shards, indexed by `Entry`."""
        with self._lock:
            shards = list(self._shards)
        return [sum(column) for column in zip(*(shard.counts for shard in shards), strict=True)] or [0] * SIZE
