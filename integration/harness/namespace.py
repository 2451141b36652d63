"""Programs in a mount and process namespace of their own, as in a container."""

from __future__ import annotations

import shlex
from pathlib import Path


def starter(library: Path, folder: Path) -> list[str]:
    """Return what starts a program with copies of a library, and of what is beside it, in an empty `folder`.

    They are on a file system that is mounted for that program alone: on this host the folder stays empty.
    """
    source, target = shlex.quote(str(library.parent)), shlex.quote(str(folder))
    script = f'mount -t tmpfs none {target} && cp {source}/lib* {target} && exec "$@"'
    # unshare does not end by SIGTERM, which it leaves to the program; by SIGKILL it takes that along.
    mortal = ["setpriv", "--pdeathsig", "KILL", "--"]
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--"]
    return [*mortal, *alone, "sh", "-c", script, "sh"]
