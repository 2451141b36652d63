"""nginx in front of PHP-FPM (programs/servers/*_f*.conf.in), and what that runs (programs/traces/hop.php)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from integration.harness.build import PROGRAMS
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import Server, filled, site

__all__ = ["php_fpm"]

_LISTENING = ("UNIX_KEPT", "UNIX_NEW", "KEPT", "NEW", "FPM")  # the longer names first


@contextmanager
def php_fpm() -> Iterator[Mapping[str, Server]]:
    """Run both; return nginx by the ways in which it asks."""
    with site() as folder:
        shutil.copy(PROGRAMS / "traces" / "hop.php", folder)
        ports = {way: free_port() for way in _LISTENING}
        words: dict[str, object] = {f"LISTEN_{way}": port for way, port in ports.items()}
        words |= {"FOLDER": folder, "PROGRAM": folder / "hop.php"}
        nginx = filled("nginx_fastcgi.conf.in", words, folder)
        fpm = filled("php_fpm.conf.in", words, folder)
        with (
            Program([_newest(), "-F", "-R", "-y", fpm], port=ports["FPM"]),
            Program(["nginx", "-c", nginx, "-e", folder / "error.log"], port=ports["NEW"]) as program,
        ):
            yield {way.lower(): Server(program, port, "nginx") for way, port in ports.items()}


def _newest() -> Path:
    """Return Debian's php-fpm, whose name ends in its version."""
    return max(Path("/usr/sbin").glob("php-fpm[0-9]*"))
