"""TLS libraries in use, found without an agent: each process is looked at once, and nothing is attached."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from otel_ebpf.config import Tls
from otel_ebpf.probing.files import File, Files, processes, worth_a_look
from otel_ebpf.probing.unread import DISABLED, NOT_TOLD, Unread, obstacle_of

__all__ = ["scan"]

_SECONDS: Final = 1.0


def scan(config: Tls, seconds: float = _SECONDS) -> dict[str, Any]:
    """Return what `Watch.tls` does, of an agent that would start now.

    Nothing is known of handshakes: `unread` has the processes of which no plaintext could be read if they
    made any, and none whose TLS library is unknown. Looks for no longer than `seconds`; the processes that
    were not looked at are in `left_out`.
    """
    deadline = time.monotonic() + seconds
    files, unread = Files(config), Unread()
    users: Counter[tuple[str, str, File]] = Counter()
    left = processes()
    while left and time.monotonic() < deadline:
        pid = left.pop()
        in_process, java = worth_a_look(pid)
        looks = [(mapping, look) for mapping in in_process if (look := files.look(mapping)) is not None]
        found = {(one.library, mapping.name, mapping.file) for mapping, look in looks for one in look.found}
        if found and config.enabled:
            users.update(found)
            continue
        obstacles = [look.obstacle for _, look in looks if look.obstacle is not None]
        obstacle = DISABLED if found else obstacle_of(obstacles, java, len(in_process))
        if obstacle not in NOT_TOLD:
            unread.put(pid, obstacle)
    libraries = [
        {"library": library, "path": path, "processes": number}
        for (library, path, _), number in sorted(users.items())
    ]
    return {
        "libraries": libraries,
        "unread": unread.standing(),
        "left_out": len(left) + unread.left_out,
    }
