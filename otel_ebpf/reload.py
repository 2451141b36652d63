"""The configuration file, read again when it has changed or when that is asked for.

On a thread of its own: YAML of a megabyte takes seconds. A file that cannot be used is refused, with the
reason in the log, and what was there before stays in force.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final

from msgspec.structs import replace

from otel_ebpf.config import Config, ConfigError, load
from otel_ebpf.overrides import needs_start

__all__ = ["ConfigWatch", "waits_for_restart"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_Stamp = tuple[int, int, int]


class ConfigWatch:
    """Follows one file; without one (`path` None) it does nothing. `take` is for the reader's thread."""

    def __init__(self, path: Path | None, config: Config) -> None:
        self._path = path
        self._config = self._started = config
        self._asked = False  # not an Event: a signal handler sets it, and takes no lock
        self._stopping = Event()
        self._changed: SimpleQueue[Config] = SimpleQueue()
        self._seen = self._stamp()
        self._before = self._seen

    def start(self) -> None:
        """Begin to look at the file once a second."""
        if self._path is not None:
            Thread(target=self._run, name="configuration", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def ask(self) -> None:
        """Have the file read again within a second, changed or not. May be called by a signal handler."""
        self._asked = True

    def take(self) -> Config | None:
        """Return a configuration that is new, None where there is none."""
        try:
            return self._changed.get_nowait()
        except Empty:
            return None

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            asked, self._asked = self._asked, False
            if asked or self._has_changed():
                self._read()

    def _has_changed(self) -> bool:
        """Whether the file is another than was read, and has been left alone for a second."""
        before, self._before = self._before, self._stamp()
        return self._before not in {None, self._seen} and self._before == before

    def _stamp(self) -> _Stamp | None:
        """Return what tells one content from the next; a link, as Kubernetes' volumes are, is followed."""
        try:
            found = os.stat(self._path) if self._path is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None

    def _read(self) -> None:
        self._seen = self._before = self._stamp()
        try:
            config = load(self._path)
        except ConfigError as error:
            logger.error("the configuration stays as it was until the file is mended: %s", error)
            return
        if config == self._config:
            logger.info("the configuration is what it was")
            return
        waiting = waits_for_restart(self._config, config)
        if needs_start(self._started, config):
            waiting.append("overrides, for what is switched off at the start")
        if waiting:
            logger.warning("changed, and used from the next start on: %s", ", ".join(waiting))
        self._config = config
        self._changed.put(config)


def waits_for_restart(before: Config, after: Config) -> list[str]:
    """Return the sections that have changed and are not taken while the agent runs."""
    live = {
        "discovery": before.discovery,
        "services": before.services,
        "overrides": before.overrides,
        "tls": replace(after.tls, exclude_services=before.tls.exclude_services),
    }
    compared = replace(after, **live)
    return [name for name in Config.__struct_fields__ if getattr(compared, name) != getattr(before, name)]
