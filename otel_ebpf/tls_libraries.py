"""Which TLS libraries are in use on this host, and probes on each of them.

A library is a file: one that many processes map is looked into once, and its probes run in all of them.
Processes are looked at when the agent starts, when the kernel tells of a program or of a process's first
socket call, and again while a handshake shows that one encrypts with something that was not found (a
library loaded late, by dlopen). What the distribution installs where loaders look is attached ahead, so
that the first request of a program that lives for a tenth of a second is seen too: probes in a file that
nobody has mapped cost nothing.

All of it is done by a thread of its own; a broken file costs a line in the log and no more.
"""

from __future__ import annotations

import glob
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from otel_ebpf.config import Tls
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libraries import Found, may_hold_tls, places
from otel_ebpf.kernel.mappings import Mapping, executable_mappings
from otel_ebpf.kernel.messages import AttachedFile, AttachFile, DetachFile, Point

__all__ = ["BY_PROCESS_MAX", "TlsLibraries"]

logger = logging.getLogger(__name__)

BY_PROCESS_MAX: Final = 16
"""Where no more are selected, and by their ids, probes are theirs alone: no other process pays for a trap."""
_LOADERS_LOOK_IN: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_INSTALLED: Final = ("libssl.so*", "libgnutls.so*", "libnspr4.so*")
_AGAIN_AFTER: Final = (0.02, 0.2, 1.0, 5.0)
"""Seconds after which a process is looked at again: its loader, then its interpreter, is at work."""
_SWEEP_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 30.0
"""Probes stay so long after the last user: a program that is run again and again is seen from its start."""
_LOOKS_A_SECOND: Final = 200
"""Files that are looked into at most, each about a millisecond: a host that builds software makes many."""
_FILES_KEPT: Final = 8192

File = tuple[int, int]


@dataclass(slots=True)
class _Attached:
    """A file with probes."""

    name: str
    libraries: tuple[str, ...]
    tokens: tuple[int, ...]
    ahead: bool  # of any user
    users: set[int] = field(default_factory=set)
    used: float = field(default_factory=time.monotonic)

    def unused(self) -> bool:
        """Forget the users that are gone, and say whether there have been none for long enough."""
        self.users = {pid for pid in self.users if os.path.exists(f"/proc/{pid}")}
        if self.users:
            self.used = time.monotonic()
        return time.monotonic() - self.used > _KEPT_SECONDS


class TlsLibraries:
    """Keeps probes where TLS libraries are. `started` and `handshake` are for the reader's thread."""

    def __init__(
        self, attacher: Attacher, let_go: Callable[[], None], config: Tls, pids: frozenset[int]
    ) -> None:
        """`let_go` is called when probes were taken from a file; `pids` are all that may pay for any."""
        self._attacher = attacher
        self._let_go = let_go
        self._config = config
        self._pids = pids
        self._attached: dict[File, _Attached] = {}
        self._looked_into: dict[File, tuple[float, tuple[Found, ...]]] = {}  # when it had changed last
        self._due: list[tuple[float, int]] = []
        self._asked: dict[int, float] = {}
        self._queue: SimpleQueue[int] = SimpleQueue()
        self._looks = 0
        self._thread = Thread(target=self._run, name="tls-libraries", daemon=True)

    def start(self) -> None:
        """Attach to what is installed and to what runs now, then go on in a thread."""
        for path in _installed():
            self._consider_path(path)
        self._look_everywhere()
        self._thread.start()

    def started(self, pid: int) -> None:
        """Look at a process that is new. `pid` as the agent sees it."""
        self._queue.put(pid)

    def handshake(self, pid: int) -> None:
        """A process has made a handshake: look at it again, but not for each."""
        now = time.monotonic()
        if now - self._asked.get(pid, 0.0) > 1.0:
            if len(self._asked) > _FILES_KEPT:
                self._asked.clear()
            self._asked[pid] = now
            self._queue.put(pid)

    def standing(self) -> dict[str, dict[str, int]]:
        """Return, by file, the libraries in it with the number of processes that use it. Any thread."""
        return {
            attached.name: dict.fromkeys(attached.libraries, len(attached.users))
            for attached in tuple(self._attached.values())
        }

    def _run(self) -> None:
        swept = time.monotonic()
        while True:
            try:
                self._take(self._wait())
            except Exception:
                logger.exception("looking for TLS libraries failed; it goes on with the next process")
            if time.monotonic() - swept > _SWEEP_SECONDS:
                swept = time.monotonic()
                self._looks = 0
                self._sweep()

    def _wait(self) -> int:
        """Return the next process that is new, or due again; 0 for none."""
        delay = _SWEEP_SECONDS
        if self._due:
            delay = max(self._due[0][0] - time.monotonic(), 0.0)
        try:
            pid = self._queue.get(timeout=delay)
        except Empty:
            return -self._due.pop(0)[1] if self._due and self._due[0][0] <= time.monotonic() else 0
        return pid

    def _take(self, pid: int) -> None:
        if not pid:
            return
        self._look(abs(pid))
        if pid > 0:
            now = time.monotonic()
            self._due += [(now + after, pid) for after in _AGAIN_AFTER]
            self._due.sort()
            del self._due[_FILES_KEPT:]

    def _look(self, pid: int) -> None:
        if pid == os.getpid():
            return
        executable = True  # the first that is mapped
        for mapping in executable_mappings(pid):
            if executable or may_hold_tls(mapping.name):
                self._consider(mapping, pid)
            executable = False

    def _consider_path(self, path: str) -> None:
        try:
            stat = os.stat(path)
        except OSError:
            return
        self._consider(Mapping(path, path, (stat.st_dev, stat.st_ino)), 0)

    def _consider(self, mapping: Mapping, pid: int) -> None:
        """Attach to a file, unless that is done, or there is nothing to attach to."""
        attached = self._attached.get(mapping.file)
        if attached is not None:
            if pid:
                attached.users.add(pid)
            return
        if found := self._found(mapping):
            self._attach(mapping, found, pid)

    def _found(self, mapping: Mapping) -> tuple[Found, ...]:
        """Look into a file, once for each of its versions."""
        changed = _changed(mapping.path)
        before = self._looked_into.get(mapping.file)
        if before is not None and before[0] == changed:
            return before[1]
        if self._looks > _LOOKS_A_SECOND * _SWEEP_SECONDS:
            return ()
        self._looks += 1
        found = self._places(mapping)
        if len(self._looked_into) > _FILES_KEPT:
            self._looked_into.clear()
        self._looked_into[mapping.file] = (changed, found)
        return found

    def _places(self, mapping: Mapping) -> tuple[Found, ...]:
        if any(fnmatchcase(mapping.name, pattern) for pattern in self._config.exclude):
            return ()
        try:
            found = places(mapping.path)
        except BinaryError as error:
            logger.info("no TLS probes in %s: %s", mapping.name, error)
            return ()
        return tuple(one for one in found if one.library in self._config.libraries)

    def _attach(self, mapping: Mapping, found: Iterable[Found], pid: int) -> None:
        points = tuple(point for one in found for point in one.points)
        try:
            tokens = tuple(self._tokens(mapping.path, points))
        except KernelError as error:
            logger.warning("TLS probes in %s could not be attached: %s", mapping.name, error)
            self._looked_into[mapping.file] = (_changed(mapping.path), ())  # once is enough
            return
        libraries = tuple(one.library for one in found)
        users = {pid} if pid else set()
        self._attached[mapping.file] = _Attached(mapping.name, libraries, tokens, not pid, users)
        logger.info("TLS: %s in %s, %d probes", ", ".join(libraries), mapping.name, len(points))

    def _tokens(self, path: str, points: tuple[Point, ...]) -> Iterator[int]:
        for pid in [one for one in self._pids if os.path.exists(f"/proc/{one}")] if self._pids else [0]:
            answer = self._attacher.handle(AttachFile(path, points, pid))
            assert isinstance(answer, AttachedFile)
            yield answer.token

    def _sweep(self) -> None:
        """Take the probes from files that nobody uses any more."""
        alone = [
            file for file, attached in self._attached.items() if not attached.ahead and attached.unused()
        ]
        if not alone:
            return
        self._look_everywhere()  # programs that were started since are not told of, their file is known
        for file in alone:
            attached = self._attached[file]
            if attached.unused():
                for token in attached.tokens:
                    self._attacher.handle(DetachFile(token))
                del self._attached[file]
                logger.info("TLS: nobody uses %s any more", attached.name)
        self._let_go()
        self._look_everywhere()  # nor are those between that look and now

    def _look_everywhere(self) -> None:
        for pid in _processes():
            self._look(pid)


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _installed() -> set[str]:
    """Return the TLS libraries where loaders look for them."""
    folders = [*_LOADERS_LOOK_IN, *glob.glob("/lib/*-linux-gnu*"), *glob.glob("/usr/lib/*-linux-gnu*")]
    return {
        os.path.realpath(path)
        for folder in folders
        for name in _INSTALLED
        for path in glob.glob(f"{folder}/{name}")
    }


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
