"""Which ledger entries a signal's items are counted under on their way out."""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_ebpf.kernel.ledger import Entry

__all__ = ["POINTS", "SPANS", "Books"]


class Books(NamedTuple):
    """What comes (seen, recovered) is what became of it: the sum of all the others.

    Plain integers: indexing a list by an IntEnum costs a call.
    """

    unit: str
    seen: int
    passed: int
    queue_full: int
    failed: int
    expired: int
    rejected: int
    shutdown: int
    in_flight: int
    recovered: int
    disk_full: int
    disk_expired: int
    disk_corrupt: int
    on_disk: int


SPANS: Final = Books(
    "spans",
    int(Entry.EXPORT_SEEN),
    int(Entry.EXPORT_PASSED),
    int(Entry.EXPORT_QUEUE_FULL),
    int(Entry.EXPORT_FAILED),
    int(Entry.EXPORT_EXPIRED),
    int(Entry.EXPORT_REJECTED),
    int(Entry.EXPORT_SHUTDOWN),
    int(Entry.EXPORT_IN_FLIGHT),
    int(Entry.EXPORT_RECOVERED),
    int(Entry.EXPORT_DISK_FULL),
    int(Entry.EXPORT_DISK_EXPIRED),
    int(Entry.EXPORT_DISK_CORRUPT),
    int(Entry.EXPORT_ON_DISK),
)

POINTS: Final = Books(
    "metric data points",
    int(Entry.EXPORT_POINTS_SEEN),
    int(Entry.EXPORT_POINTS_PASSED),
    int(Entry.EXPORT_POINTS_QUEUE_FULL),
    int(Entry.EXPORT_POINTS_FAILED),
    int(Entry.EXPORT_POINTS_EXPIRED),
    int(Entry.EXPORT_POINTS_REJECTED),
    int(Entry.EXPORT_POINTS_SHUTDOWN),
    int(Entry.EXPORT_POINTS_IN_FLIGHT),
    int(Entry.EXPORT_POINTS_RECOVERED),
    int(Entry.EXPORT_POINTS_DISK_FULL),
    int(Entry.EXPORT_POINTS_DISK_EXPIRED),
    int(Entry.EXPORT_POINTS_DISK_CORRUPT),
    int(Entry.EXPORT_POINTS_ON_DISK),
)
