"""Which TLS libraries, C libraries and runtimes are in use on this host, and probes on each of them.

A library is a file: one that many processes map is looked into once, and its probes run in all of them.
Processes are looked at when the agent starts, when the kernel tells of a program or of a process's first
socket call, and again while a handshake shows that one encrypts with something that was not found (a
library loaded late, by dlopen). What the distribution installs where loaders look is attached ahead, so
that the first request of a program that lives for a tenth of a second is seen too: probes in a file that
nobody has mapped cost nothing.

All of it is done by a thread of its own. A process with handshakes and nothing that could be probed is told
of as one that cannot be read (`unread`).
"""

from __future__ import annotations

import logging
import os
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

from otel_ebpf.config import Dns, Tls, Traces
from otel_ebpf.kernel import resolvers, tls_libraries
from otel_ebpf.kernel.attacher import Attacher, in_pid_namespace
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.kernel.tables import Tables
from otel_ebpf.probing.files import FILES_KEPT, Files, has_ended, installed, processes, worth_a_look
from otel_ebpf.probing.probes import Probes
from otel_ebpf.probing.runtimes import Runtimes
from otel_ebpf.probing.unread import DISABLED, Unread, obstacle_of

__all__ = ["BY_PROCESS_MAX", "Watch"]

logger = logging.getLogger(__name__)

BY_PROCESS_MAX: Final = 16
"""Where no more are selected, and by their ids, probes are theirs alone: no other process pays for a trap."""
_AGAIN_AFTER: Final = (0.02, 0.2, 1.0, 5.0)
"""Seconds after which a process is looked at again: its loader, then its interpreter, is at work."""
_SWEEP_SECONDS: Final = 5.0
_WAITING_MAX: Final = 8192
_STOP_SECONDS: Final = 0.2


_DNS: Final = Dns()


class _Turn(NamedTuple):
    """When a process is to be looked at, and why."""

    at: float
    pid: int
    handshake: bool
    again: bool = False
    host_pid: int = 0


_NAME_LOST: Final = _Turn(0.0, 0, handshake=False)


class Watch:
    """Keeps probes where they are wanted. `started` and `handshake` are for the reader's thread."""

    def __init__(  # noqa: PLR0917 (its neighbours, then the configuration)
        self,
        attacher: Attacher,
        tables: Tables,
        tls: Tls,
        traces: Traces,
        pids: frozenset[int],
        dns: Dns = _DNS,
    ) -> None:
        """`pids` are all that may pay for any probe; none for all."""
        self._tables = tables
        self._enabled = tls.enabled
        self._pids = pids
        self._files = Files(tls)
        self._probes = Probes("TLS", attacher, self._files.tls_in, self._files.refused, pids)
        self._resolvers = Probes("DNS", attacher, self._files.resolver_in, self._files.resolver_refused, pids)
        self._looks_up = dns.enabled
        self._runtimes = Runtimes(attacher, tables, self._files, traces, pids, lost=self._name_was_lost)
        self._follows = traces.enabled and bool(traces.runtimes)
        self._inside = in_pid_namespace()
        self._host_pids: dict[int, int] = {}
        self._unread = Unread()
        self._due: list[_Turn] = []
        self._asked: dict[int, float] = {}
        self._queue: SimpleQueue[_Turn] = SimpleQueue()
        self._behind = False
        self._stopping = False
        self._thread = Thread(target=self._run, name="tls-libraries", daemon=True)

    def start(self) -> None:
        """Attach to what is installed and to what runs now, then go on in a thread."""
        try:
            self._attach_ahead()
        except KernelError as error:
            self._fall_behind(error)
        if self._enabled or self._follows or self._looks_up:
            self._look_everywhere()
        self._thread.start()

    def stop(self) -> None:
        """Look at no more processes; what is attached stays. Waits for the one that is being looked at."""
        self._stopping = True
        self._queue.put(_Turn(0.0, 0, handshake=False))
        self._thread.join(_STOP_SECONDS)

    def started(self, pid: int, host_pid: int) -> None:
        """Look at a process that is new. `pid` as the agent sees it, `host_pid` in the initial namespace."""
        if self._concerns(pid) and (self._enabled or self._follows or self._looks_up):
            self._put(_Turn(0.0, pid, handshake=False, host_pid=host_pid))

    def handshake(self, pid: int) -> None:
        """A process has made a handshake: look at it again, but not for each."""
        now = time.monotonic()
        if self._concerns(pid) and now - self._asked.get(pid, 0.0) > 1.0:
            if len(self._asked) > FILES_KEPT:
                self._asked.clear()
            self._asked[pid] = now
            self._put(_Turn(now, pid, handshake=True))

    def runtimes(self) -> dict[str, Any]:
        """Return what `Runtimes.standing` does. Any thread."""
        return self._runtimes.standing()

    def tls(self) -> dict[str, Any]:
        """Return the files with probes, and the processes that cannot be read, as JSON has them. Any thread.

        A file's users are the processes that were running at the start, or did anything with sockets since.
        """
        return {
            "libraries": self._probes.standing(),
            "unread": self._unread.standing(),
            "left_out": self._unread.left_out,
        }

    def resolvers(self) -> list[dict[str, Any]]:
        """Return the files with probes for lookups, as JSON has them. Any thread."""
        return self._resolvers.standing()

    def _attach_ahead(self) -> None:
        if self._enabled:
            for mapping in installed(tls_libraries.INSTALLED):
                self._probes.consider(mapping, 0)
        if self._looks_up:
            for mapping in installed(resolvers.INSTALLED):
                self._resolvers.consider(mapping, 0)

    def _put(self, turn: _Turn) -> None:
        if self._queue.qsize() < _WAITING_MAX:
            self._queue.put(turn)
        else:
            self._behind = True  # the next sweep looks at all that runs

    def _fall_behind(self, error: KernelError) -> None:
        if not self._behind:
            logger.warning(
                "not all programs can be looked into now, they are in %d s: %s", _SWEEP_SECONDS, error
            )
        self._behind = True

    def _run(self) -> None:
        swept = time.monotonic()
        while not self._stopping:
            try:
                self._take(self._wait())
                if time.monotonic() - swept > _SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._sweep()
            except Exception:
                logger.exception(
                    "looking into a program failed, and goes on with the next: please report this line"
                )

    def _wait(self) -> _Turn | None:
        """Return the next process that is new, or due again; None for none."""
        delay = _SWEEP_SECONDS
        if self._due:
            delay = max(self._due[0].at - time.monotonic(), 0.0)
        try:
            return self._queue.get(timeout=delay)
        except Empty:
            return self._due.pop(0) if self._due and self._due[0].at <= time.monotonic() else None

    def _name_was_lost(self) -> None:
        self._queue.put(_NAME_LOST)

    def _take(self, turn: _Turn | None) -> None:
        if turn is _NAME_LOST:
            self._runtimes.sweep_own()
        if turn is None or not turn.pid:
            return
        known = turn.pid in self._unread
        if not turn.handshake and not turn.again:
            self._unread.forget(turn.pid)  # another program now, or another process
            self._runtimes.forget(turn.pid, turn.host_pid)
            self._know(turn.pid, turn.host_pid)
        if not self._enabled and turn.handshake:
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
        """Look at what a process has mapped, and say whether something of it has all its probes now."""
        try:
            return self._consider(pid, handshake)
        except KernelError as error:  # for want of descriptors or memory
            self._fall_behind(error)
            return False

    def _consider(self, pid: int, handshake: bool) -> bool:
        files, java = worth_a_look(pid)
        for mapping in files:
            if self._enabled:
                self._probes.consider(mapping, pid)
            if self._looks_up:
                self._resolvers.consider(mapping, pid)
            if self._follows:
                self._runtimes.consider(mapping, pid, self._host_pid(pid))
        if any(mapping.file in self._probes for mapping in files):
            self._unread.forget(pid)
            if self._looks_up and not self._has_libc(files):
                return False  # its loader has not come to that yet
            return not any(self._runtimes.is_early(mapping, pid) for mapping in files)
        if handshake:
            self._judge(pid, files, java)
        return False

    def _has_libc(self, files: list[Mapping]) -> bool:
        return any(resolvers.LIBC in self._resolvers.libraries_in(mapping.file) for mapping in files)

    def _judge(self, pid: int, files: list[Mapping], java: bool) -> None:
        """Tell why a process that makes handshakes cannot be read. What made them is mapped by then."""
        looks = [self._files.look(mapping) for mapping in files]
        if None in looks or has_ended(pid):
            return
        obstacles = [look.obstacle for look in looks if look is not None and look.obstacle is not None]
        self._unread.put(pid, obstacle_of(obstacles, java, len(files)))

    def _sweep(self) -> None:
        """Take the probes from files that nobody uses any more."""
        self._files.go_on()
        self._unread.sweep()
        if self._follows:
            self._runtimes.keep_to_budget()
        if self._behind:
            self._behind = False
            self._look_everywhere()
        if not any(one.unused() for one in (self._probes, self._resolvers, self._runtimes)):
            return
        self._look_everywhere()  # programs that were started since are not told of, their file is known
        for probes in (self._probes, self._resolvers):
            for file in probes.unused():
                probes.detach(file)
        self._runtimes.let_go_of_unused()
        self._tables.forget_executables()
        self._look_everywhere()  # nor are those between that look and now

    def _know(self, pid: int, host_pid: int) -> None:
        if len(self._host_pids) > FILES_KEPT:
            self._host_pids.clear()
        if pid != host_pid:
            self._host_pids[pid] = host_pid

    def _host_pid(self, pid: int) -> int:
        """Return a process's id in the initial namespace, 0 where it was not told yet."""
        return self._host_pids.get(pid, 0 if self._inside else pid)

    def _look_everywhere(self) -> None:
        for pid in filter(self._concerns, processes()):
            if self._stopping:
                return
            while not self._queue.empty():  # what has just started cannot wait for all that runs
                self._take(self._queue.get())
            self._look(pid)

    def _concerns(self, pid: int) -> bool:
        return pid in self._pids if self._pids else pid != os.getpid()
