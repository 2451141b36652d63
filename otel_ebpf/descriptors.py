"""How many files the agent may have open at once."""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["allow_many"]

_ENOUGH: Final = 65_536


def allow_many() -> None:
    """Raise the limit as far as it may be without privileges.

    Each program of each probed file takes a descriptor, and without uprobe_multi each probe: a host has
    hundreds, and the soft limit is 1,024 where nobody has raised it, since select(2) can take no more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
