"""The section of the configuration about what leaves the agent, beyond the standard variables."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["DiskQueue", "Export"]


class DiskQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What cannot be sent, on disk, until it can: see docs/disk-queue.md."""

    directory: Annotated[
        str,
        Meta(
            max_length=4096,
            description="Path of its directory, which is made if it is not there. One agent at a time uses "
            "it. Empty: nothing is written to disk.",
        ),
    ] = ""
    max_bytes: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=1 << 40,
            description="Bytes that spans may take there, and metrics as many again. What is over drops "
            "the oldest, counted.",
        ),
    ] = 1 << 28
    max_age_seconds: Annotated[
        int,
        Meta(ge=1, le=31536000, description="How long it is kept there, before it is dropped and counted."),
    ] = 86400


class Export(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How what was observed leaves the agent, beyond the standard variables."""

    disk_queue: Annotated[
        DiskQueue, Meta(description="What cannot be sent, on disk, until it can: see docs/disk-queue.md.")
    ] = DiskQueue()
