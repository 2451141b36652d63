"""Programs in whose runtime requests are followed, and what the kernel side is told of them.

`standing` is for any thread, all else for one.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from otel_ebpf.config import Traces
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libraries import Found
from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.kernel.messages import HitTimed, Point, TimeHit
from otel_ebpf.kernel.runtimes import Runtime
from otel_ebpf.kernel.tables import Tables
from otel_ebpf.probing.environment import has_set
from otel_ebpf.probing.files import File, Files, Look, has_ended
from otel_ebpf.probing.own import OwnProbes
from otel_ebpf.probing.probes import Probes

__all__ = ["Runtimes"]

logger = logging.getLogger(__name__)

_FILES_MAX: Final = 1024  # of the map runtime_files; the first is nobody's
_COOKIE_ADDRESS_BITS: Final = 48
_GIVEN_UP_MAX: Final = 1024
_HIT_NS_LEAST: Final = 100
_HIT_NS_ASSUMED: Final = 2000


class Runtimes:
    """Attaches to runtimes, tells the kernel who runs which, and lets go of those that cost too much."""

    def __init__(
        self,
        attacher: Attacher,
        tables: Tables,
        files: Files,
        config: Traces,
        pids: frozenset[int],
        *,
        lost: Callable[[], object] = lambda: None,
    ) -> None:
        """`lost` is called, by another thread, when `sweep_own` is to be called soon."""
        self._attacher = attacher
        self._tables = tables
        self._files = files
        self._config = config
        self._probes = Probes("runtime", attacher, self._parts, self._refuse, pids)
        self._own = OwnProbes(attacher, lost)
        self._numbers: dict[File, int] = {}
        self._given_up: dict[File, tuple[str, str]] = {}  # name, and why
        self._processes: dict[int, tuple[File, int]] = {}  # with the agent's ids, by the initial namespace's
        self._hits: dict[int, int] = {}
        self._rates: dict[File, float] = {}
        self._counted_at = time.monotonic()
        self._hit_ns = 0

    def consider(self, mapping: Mapping, pid: int, host_pid: int) -> None:
        """Follow requests through a process, if a file that it has mapped is a runtime's.

        `pid` as the agent sees it, `host_pid` in the initial namespace, 0 where that is not known (yet).
        Raises `KernelError` that `passes`.
        """
        look = self._files.look(mapping)
        if look is not None and look.not_followed:
            self._give_up(mapping.file, mapping.name, look.not_followed)
        runtime = self._runtime(look)
        if runtime is None or mapping.file in self._given_up or not self._number(mapping, runtime):
            return
        self._probes.consider(mapping, pid)
        if mapping.file not in self._probes:
            return
        if not self._hit_ns:
            self._time_hit(runtime.points[0].program)
        if runtime.own_name in self._config.runtimes:
            self._own.consider(mapping, self._numbered(mapping, runtime.own_points), pid)
        if not runtime.kind or not host_pid or host_pid in self._processes:
            return
        try:
            if runtime.unless and has_set(pid, runtime.unless):
                self._tables.refuse_runtime(host_pid)
            else:
                moved = mapping.moved - runtime.code_address
                self._tables.set_runtime(host_pid, runtime.kind, moved, runtime.places)
        except KernelError as error:
            logger.warning(
                "requests through process %d are not followed: %s; it is tried again when it is started anew",
                *(pid, error),
                extra={"pid": pid, "reason": str(error)},
            )
            return
        self._processes[host_pid] = (mapping.file, pid)

    def is_early(self, mapping: Mapping, pid: int) -> bool:
        """Say whether a process is to be considered again, as it may not have all of its probes yet."""
        runtime = self._runtime(self._files.look(mapping))
        if runtime is None or runtime.own_name not in self._config.runtimes:
            return False
        return mapping.file in self._probes and self._own.is_due(mapping, runtime.own_points, pid)

    def forget(self, pid: int, host_pid: int) -> None:
        """The process is another program now, or another process."""
        self._own.forget(pid)
        self._processes.pop(host_pid, None)

    def unused(self) -> bool:
        """Say whether there are probes in files that nobody uses any more."""
        return bool(self._probes.unused())

    def let_go_of_unused(self) -> None:
        """Take them away."""
        for file in self._probes.unused():
            self._detach(file)

    def keep_to_budget(self) -> None:
        """Let go of the programs whose processes hit probes more often than is allowed."""
        self.sweep_own()
        now, before = time.monotonic(), self._counted_at
        hits = self._tables.runtime_hits()
        self._processes = {pid: known for pid, known in self._processes.items() if pid in hits}
        rates: dict[File, float] = defaultdict(float)
        for pid, (file, own_pid) in tuple(self._processes.items()):
            if has_ended(own_pid):  # and had when the kernel was told of it, which thus stayed there
                self._tables.forget_runtime(pid)
                del self._processes[pid]
                continue
            rate = (hits[pid] - self._hits.get(pid, 0)) / max(now - before, 1e-3)
            rates[file] += rate
            if file in self._probes and self._percent(rate) > self._config.runtime_percent:
                name = self._probes.name_of(file)
                self._give_up(file, name, f"process {pid} hit its probes {rate:.0f} times a second")
                logger.warning(
                    "%s is no longer followed, as process %d hit its probes %.0f times a second, at %d ns "
                    "each: set traces.runtime_percent to more than %.0f to follow it",
                    *(name, pid, rate, self._hit_ns, self._percent(rate)),
                    extra={"path": name, "pid": pid, "hits": round(rate)},
                )
                self._detach(file)
        self._hits, self._counted_at, self._rates = hits, now, rates

    def sweep_own(self) -> None:
        """Take their own probes from processes that can no longer have them."""
        self._own.sweep()

    def standing(self) -> dict[str, Any]:
        """Return the files with probes, and those that were given up, as JSON has them.

        `hits` are of the probes, per second, lately, and `percent` what they cost, of a processor's time.
        """
        rates = {
            self._probes.name_of(file): rate for file, rate in self._rates.items() if file in self._probes
        }
        return {
            "followed": [
                {
                    "runtime": one["library"],
                    "path": one["path"],
                    "processes": one["processes"],
                    "hits": round(rates.get(one["path"], 0.0)),
                    "percent": round(self._percent(rates.get(one["path"], 0.0)), 1),
                }
                for one in self._probes.standing()
            ],
            "given_up": [
                {"path": name, "reason": reason} for name, reason in sorted(self._given_up.copy().values())
            ],
        }

    def _percent(self, rate: float) -> float:
        """Return what `rate` hits a second cost, in percent of a processor's time."""
        return rate * self._hit_ns / 1e7

    def _time_hit(self, program: str) -> None:
        try:
            timed = self._attacher.handle(TimeHit(program))
            assert isinstance(timed, HitTimed)
            self._hit_ns = max(timed.nanoseconds, _HIT_NS_LEAST)
        except (KernelError, BinaryError) as error:
            self._hit_ns = _HIT_NS_ASSUMED
            logger.info("what a hit of a probe costs is not known, %d ns is assumed: %s", self._hit_ns, error)

    def _give_up(self, file: File, name: str, reason: str) -> None:
        if len(self._given_up) >= _GIVEN_UP_MAX:
            self._given_up.clear()
        self._given_up[file] = (name, reason)

    def _runtime(self, look: Look | None) -> Runtime | None:
        runtime = look.runtime if look is not None else None
        return runtime if runtime is not None and runtime.name in self._config.runtimes else None

    def _number(self, mapping: Mapping, runtime: Runtime) -> int:
        """Return the file's number in the kernel's map, 0 where there is none left."""
        known = self._numbers.get(mapping.file)
        if known is None:
            used = set(self._numbers.values())
            known = next((number for number in range(1, _FILES_MAX) if number not in used), 0)
            if known:
                self._numbers[mapping.file] = known
                self._tables.set_runtime_file(known, runtime.kind, runtime.places)
        return known

    def _parts(self, mapping: Mapping) -> tuple[Found, ...]:
        runtime = self._runtime(self._files.look(mapping))
        if runtime is None:
            return ()
        return (Found(runtime.name, self._numbered(mapping, runtime.points)),)

    def _numbered(self, mapping: Mapping, points: tuple[Point, ...]) -> tuple[Point, ...]:
        number = self._numbers[mapping.file] << _COOKIE_ADDRESS_BITS
        return tuple(point.with_cookie(number | point.cookie) for point in points)

    def _refuse(self, mapping: Mapping, error: Exception) -> None:
        self._give_up(mapping.file, mapping.name, str(error))

    def _detach(self, file: File) -> None:
        self._own.detach(file)
        self._probes.detach(file)
        number = self._numbers.pop(file, 0)
        if number:
            self._tables.set_runtime_file(number, 0, b"")
        for pid, (its_file, _) in tuple(self._processes.items()):
            if its_file == file:
                self._tables.forget_runtime(pid)
                del self._processes[pid]
