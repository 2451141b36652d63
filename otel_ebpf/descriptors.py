"""How many files the agent may have open at once."""

from __future__ import annotations

import resource
from typing import Final

from otel_ebpf.kernel.errors import KernelError

__all__ = ["allow_many"]

_LEAST: Final = 1024
_ENOUGH: Final = 65_536


def allow_many() -> None:
    """Raise the limit as far as it may be without privileges. Raises `KernelError` where that is too little.

    The agent's own programs and maps take some 500 descriptors; then each program in each probed file takes
    one, and without uprobe_multi each probe. The soft limit is 1,024 where nobody has raised it, since
    select(2) can take no more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if allowed < _LEAST:
        raise KernelError(
            f"no more than {allowed} files may be open, and the agent needs {_LEAST}: raise the limit, as by "
            "LimitNOFILE=65536 in its unit, or ulimit -Hn 65536"
        )
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
