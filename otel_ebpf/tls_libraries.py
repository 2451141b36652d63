"""Which TLS libraries are in use on this host, and probes on each of them.

A library is a file: one that many processes map is looked into once, and its probes run in all of them.
Processes are looked at when the agent starts, when the kernel tells of a program or of a process's first
socket call, and again while a handshake shows that one encrypts with something that was not found (a
library loaded late, by dlopen). What the distribution installs where loaders look is attached ahead, so
that the first request of a program that lives for a tenth of a second is seen too: probes in a file that
nobody has mapped cost nothing.

All of it is done by a thread of its own. A process with handshakes and nothing that could be probed is told
of as one that cannot be read (`tls_unread`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

from otel_ebpf.config import Tls
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.tls_files import FILES_KEPT, TlsFiles, installed, processes, worth_a_look
from otel_ebpf.tls_probes import TlsProbes
from otel_ebpf.tls_unread import DISABLED, Unread, obstacle_of

__all__ = ["BY_PROCESS_MAX", "TlsLibraries"]

logger = logging.getLogger(__name__)

BY_PROCESS_MAX: Final = 16
"""Where no more are selected, and by their ids, probes are theirs alone: no other process pays for a trap."""
_AGAIN_AFTER: Final = (0.02, 0.2, 1.0, 5.0)
"""Seconds after which a process is looked at again: its loader, then its interpreter, is at work."""
_SWEEP_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 0.2


class _Turn(NamedTuple):
    """When a process is to be looked at, and why."""

    at: float
    pid: int
    handshake: bool
    again: bool = False


class TlsLibraries:
    """Keeps probes where TLS libraries are. `started` and `handshake` are for the reader's thread."""

    def __init__(
        self, attacher: Attacher, let_go: Callable[[], None], config: Tls, pids: frozenset[int]
    ) -> None:
        """`let_go` is called when probes were taken from a file; `pids` are all that may pay for any."""
        self._let_go = let_go
        self._enabled = config.enabled
        self._pids = pids
        self._files = TlsFiles(config)
        self._probes = TlsProbes(attacher, self._files, pids)
        self._unread = Unread()
        self._due: list[_Turn] = []
        self._asked: dict[int, float] = {}
        self._queue: SimpleQueue[_Turn] = SimpleQueue()
        self._stopping = False
        self._thread = Thread(target=self._run, name="tls-libraries", daemon=True)

    def start(self) -> None:
        """Attach to what is installed and to what runs now, then go on in a thread."""
        if self._enabled:
            for mapping in installed():
                self._probes.consider(mapping, 0)
            self._look_everywhere()
        self._thread.start()

    def stop(self) -> None:
        """Look at no more processes; what is attached stays. Waits for the one that is being looked at."""
        self._stopping = True
        self._queue.put(_Turn(0.0, 0, handshake=False))
        self._thread.join(_STOP_SECONDS)

    def started(self, pid: int) -> None:
        """Look at a process that is new. `pid` as the agent sees it."""
        self._queue.put(_Turn(0.0, pid, handshake=False))

    def handshake(self, pid: int) -> None:
        """A process has made a handshake: look at it again, but not for each."""
        now = time.monotonic()
        if now - self._asked.get(pid, 0.0) > 1.0:
            if len(self._asked) > FILES_KEPT:
                self._asked.clear()
            self._asked[pid] = now
            self._queue.put(_Turn(now, pid, handshake=True))

    def standing(self) -> dict[str, Any]:
        """Return the files with probes, and the processes that cannot be read, as JSON has them. Any thread.

        A file's users are the processes that were running at the start, or did anything with sockets since.
        """
        return {
            "libraries": self._probes.standing(),
            "unread": self._unread.standing(),
            "left_out": self._unread.left_out,
        }

    def _run(self) -> None:
        swept = time.monotonic()
        while not self._stopping:
            try:
                self._take(self._wait())
                if time.monotonic() - swept > _SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._sweep()
            except Exception:
                logger.exception("looking for TLS libraries failed; it goes on with the next process")

    def _wait(self) -> _Turn | None:
        """Return the next process that is new, or due again; None for none."""
        delay = _SWEEP_SECONDS
        if self._due:
            delay = max(self._due[0].at - time.monotonic(), 0.0)
        try:
            return self._queue.get(timeout=delay)
        except Empty:
            return self._due.pop(0) if self._due and self._due[0].at <= time.monotonic() else None

    def _take(self, turn: _Turn | None) -> None:
        if turn is None or not turn.pid:
            return
        known = turn.pid in self._unread
        if not turn.handshake and not turn.again:
            self._unread.forget(turn.pid)  # another program now, or another process
        if not self._enabled:
            if turn.handshake:
                self._unread.put(turn.pid, DISABLED)
            return
        found = self._look(turn.pid, handshake=turn.handshake)
        if found or turn.again or (known and turn.handshake):
            return
        now = time.monotonic()
        self._due += [turn._replace(at=now + after, again=True) for after in _AGAIN_AFTER]
        self._due.sort()
        del self._due[FILES_KEPT:]

    def _look(self, pid: int, *, handshake: bool = False) -> bool:
        """Look at what a process has mapped, and say whether something of it has probes now."""
        if pid == os.getpid():
            return False
        files, java = worth_a_look(pid)
        for mapping in files:
            self._probes.consider(mapping, pid)
        if any(mapping.file in self._probes for mapping in files):
            self._unread.forget(pid)
            return True
        if handshake and (not self._pids or pid in self._pids):
            self._judge(pid, files, java)
        return False

    def _judge(self, pid: int, files: list[Mapping], java: bool) -> None:
        """Tell why a process that makes handshakes cannot be read. What made them is mapped by then."""
        looks = [self._files.look(mapping) for mapping in files]
        if None in looks or _has_ended(pid):
            return
        obstacles = [look.obstacle for look in looks if look is not None and look.obstacle is not None]
        self._unread.put(pid, obstacle_of(obstacles, java, len(files)))

    def _sweep(self) -> None:
        """Take the probes from files that nobody uses any more."""
        self._files.go_on()
        self._unread.sweep()
        if not self._probes.unused():
            return
        self._look_everywhere()  # programs that were started since are not told of, their file is known
        for file in self._probes.unused():
            self._probes.detach(file)
        self._let_go()
        self._look_everywhere()  # nor are those between that look and now

    def _look_everywhere(self) -> None:
        for pid in processes():
            if self._stopping:
                return
            self._look(pid)


def _has_ended(pid: int) -> bool:
    """Say whether a process is gone, or has only not been waited for yet."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False  # it may not be looked at
    return False
