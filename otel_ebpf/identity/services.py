"""Which service a record is of.

Hot path. Budget: `admitted` at most 0.15 us for a vantage that is known.

There is one `Service` for each process, not for each name. Every process of a prefork server is an
instance of its own (`service.instance.id` must differ between instances, conventions), and a
resource holds `process.pid`: one resource for all workers would be wrong for all but one of them.
The price is one set of metric series for each worker, which stays bounded: a process is forgotten 30 s
after its exit (records of it may still be in the ring buffer, and its last metrics unread), at most
`capacity` are remembered, and `forgotten` tells the metrics to drop a service's series.

All methods are for one thread, the reader's.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from otel_ebpf.identity.cgroups import choose
from otel_ebpf.identity.discovery import Decision, Discovery, Verdict
from otel_ebpf.identity.model import Attributes, Process, Service
from otel_ebpf.identity.naming import Namer, name_of, namers
from otel_ebpf.identity.own_traces import OwnTraces
from otel_ebpf.identity.process import open_process, process_of, read_process
from otel_ebpf.identity.resource import Resources
from otel_ebpf.identity.runtime import runtime_of
from otel_ebpf.identity.runtime_versions import RuntimeVersions
from otel_ebpf.identity.surroundings import Surroundings
from otel_ebpf.identity.waiting import Key, Waiting
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.records import ProcessSeen
from otel_ebpf.kernel.vantage import Vantage

__all__ = ["Observed", "Services"]

KEPT_SECONDS = 15.0
"""For which a process is known after its end: what the kernel adds up is read every 10 s (tcp_health.py)."""

CHECKED_AT_ONCE = 16
VANTAGES_KEPT = 8192


class _Known(NamedTuple):
    """What is remembered of a process."""

    service: Service
    decision: Decision
    visible_pid: int
    cgroup: str


class Observed(NamedTuple):
    """A process that is observed and was there when it was last looked at."""

    key: Key
    service: Service
    visible_pid: int


def _nothing(*_: object) -> None:
    """Stand in for a callback that nobody asked for."""


class Services:
    """Every process that is known, its service, and the discovery decision on it.

    `decided(process, service, decision)` is called for each process when it becomes known (or is
    another program after exec), so that the kernel can be told; `forgotten(service)` when the
    last process of a service is gone; `changed()` when what `admitted` has said may no longer hold.
    `clock` is monotonic, in seconds; `shard` counts the processes of which nothing is known, those
    that are forgotten for want of room, and those whose container's facts did not come in time.

    Facts about where a process runs come from `surroundings`, and may come late: for `wait_seconds` its
    records are then to be held (`waits`), until `settle` returns it.
    """

    def __init__(
        self,
        resources: Resources,
        discovery: Discovery,
        order: Iterable[tuple[str, Namer]] | None = None,
        *,
        capacity: int = 16384,
        decided: Callable[[Process, Service, Decision], None] = _nothing,
        forgotten: Callable[[Service], None] = _nothing,
        changed: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
        shard: Shard | None = None,
        surroundings: Surroundings | None = None,
        wait_seconds: float = 0.0,
        own_traces: OwnTraces | None = None,
    ) -> None:
        self._own_traces = own_traces or OwnTraces()
        shard = shard or Shard()
        self._waiting = Waiting(surroundings or Surroundings(), wait_seconds, clock, shard)
        self._versions = RuntimeVersions()
        self._resources = resources
        self._discovery = discovery
        self._order = tuple(namers() if order is None else order)
        self._generation = max(capacity // 2, 1)
        self._decided = decided
        self._forgotten = forgotten
        self._changed = changed
        self._clock = clock
        self._counts = shard.counts
        # Two generations instead of a list by use: a look-up stays one dictionary read. What has not been
        # asked for since the last turn is in the older one, and leaves at the next.
        self._young: dict[Key, _Known] = {}
        self._old: dict[Key, _Known] = {}
        self._by_resource: dict[Attributes, Service] = {}
        self._processes: dict[Service, int] = {}
        self._leaving: deque[tuple[float, Key]] = deque()  # by time: the delay is the same for all
        self._left: set[Key] = set()
        self._unchecked: list[Key] = []
        self._stale: set[Key] = set()  # what was decided on before the last `renew`
        self._number = 0
        # What was found by vantage, until any process comes, changes or goes: so what is in use is looked
        # for again, and does not age.
        self._found: dict[Vantage, Service | None] = {}

    def __len__(self) -> int:
        return len(self._young) + sum(key not in self._young for key in self._old)

    def admitted(self, vantage: Vantage) -> Service | None:
        """Return the service of a record's process, None where the discovery rules do not let it through.

        The kernel decides the same; a record can have been captured before it was told. Never raises:
        a service is made for an unknown process.
        """
        try:
            return self._found[vantage]
        except KeyError:
            known = self._known(vantage)
            allowed = self._discovery.allows(known.decision, vantage.server_port)
            if len(self._found) >= VANTAGES_KEPT:  # a client may ask any number of servers
                self._found.clear()
            found = self._found[vantage] = known.service if allowed else None
            return found

    def waits(self, vantage: Vantage) -> bool:
        """Say whether facts about a record's process may still come, so that the record is to be held."""
        if vantage not in self._found:
            self.admitted(vantage)
        return bool(self._waiting) and (vantage.process, vantage.process_start) in self._waiting

    def settle(self, *, at_once: bool = False) -> list[Key]:
        """Return the processes that are no longer waited for, as their facts have come or their time is over.

        `at_once` waits for none any more. Call ten times a second.
        """
        settled = self._waiting.settled(at_once=at_once)
        for _, process in settled:
            self._remember(process)
        return [key for key, _ in settled]

    def service_of(self, vantage: Vantage) -> Service:
        """Return the service of a record's process, whatever the rules say of it."""
        return self._known(vantage).service

    def known(self, process: int, start: int) -> Service | None:
        """Return the service of a process that is known already."""
        found = self._young.get((process, start)) or self._old.get((process, start))
        return found.service if found else None

    def holder(self, process: int, start: int, visible: int) -> Service | None:
        """Return the service of a process that has sockets; None where nothing is known of it any more.

        `visible` is its id in the agent's pid namespace, 0 for unknown. A new one is looked for in /proc.
        """
        key = (process, start)
        known = self._young.get(key) or self._old.get(key)
        if known is not None:
            self._young[key] = known
            self._turn()
            return known.service
        found = read_process(visible, start, host_pid=process)
        return self._remember(found).service if found is not None else None

    def observed(self) -> list[Observed]:
        """Return the processes that the rules let through, on whatever port."""
        return [
            Observed(key, known.service, known.visible_pid)
            for key, known in {**self._old, **self._young}.items()
            if known.visible_pid and known.decision.verdict is not Verdict.OFF
        ]

    def ended(self) -> set[Service]:
        """Return the services of which every process has ended: they are forgotten soon."""
        every = (self._young.get(key) or self._old.get(key) for key in self._left)
        left = Counter(known.service for known in every if known is not None)
        return {service for service, number in left.items() if number == self._processes[service]}

    def lets_through(self, process: int, start: int, port: int) -> bool:
        """Say what the discovery rules say of a known process's connections of that service port."""
        known = self._young.get((process, start)) or self._old.get((process, start))
        return known is not None and self._discovery.allows(known.decision, port)

    def seen(self, record: ProcessSeen) -> Service:
        """Take the kernel's notice of a process: its first I/O on a socket, again after each exec."""
        before = self.known(record.process, record.process_start)
        service = self._remember(process_of(record)).service
        if before is not None and before is not service:  # by exec
            self._own_traces.restarted((record.process, record.process_start), service)
        return service

    def reload(self, discovery: Discovery, order: Iterable[tuple[str, Namer]]) -> None:
        """Go by other rules. Each process is looked at anew with its next record, or its next notice."""
        self._discovery = discovery
        self._order = tuple(order)
        self.renew()

    def renew(self) -> None:
        """Something has changed that is in every resource: each process is looked at anew."""
        self._stale = {*self._young, *self._old}
        self._change()

    def exited(self, record: ProcessSeen) -> None:
        """Take the notice of a process's exit. It stays known for KEPT_SECONDS."""
        self._leave((record.process, record.process_start))

    def sweep(self) -> None:
        """Forget what is due, and look whether a few others are still there. Call about once a second.

        An exit whose notice was lost (the ring buffer was full) is found so.
        """
        now = self._clock()
        while self._leaving and self._leaving[0][0] <= now:
            _, key = self._leaving.popleft()
            self._left.discard(key)
            self._drop(self._young.pop(key, None) or self._old.get(key))
            self._old.pop(key, None)
        for process in self._waiting.improved(CHECKED_AT_ONCE):
            self._remember(process)
        if not self._unchecked:
            self._unchecked = [*self._young, *self._old]
        for _ in range(min(CHECKED_AT_ONCE, len(self._unchecked))):
            key = self._unchecked.pop()
            known = self._young.get(key) or self._old.get(key)
            if known and known.visible_pid and not _is_alive(known.visible_pid, key[1]):
                self._leave(key)

    def _known(self, vantage: Vantage) -> _Known:
        """Find a process that is known, or in /proc; make a bare one of what the record says."""
        key = (vantage.process, vantage.process_start)
        if self._stale and key in self._stale:
            self._look_again(key)
        known = self._young.get(key)
        if known is not None:
            return known
        known = self._old.get(key)
        if known is not None:
            self._young[key] = known
            self._turn()
            return known
        process = read_process(vantage.agent_process, vantage.process_start, host_pid=vantage.process)
        if process is not None:
            return self._remember(process)
        self._counts[Entry.PROCESS_UNKNOWN] += 1
        bare = Process(key[0], key[1], parent=0, executable="", command_line=(), user=-1, environment={})
        known = self._remember(bare)
        self._leave(key)
        return known

    def _look_again(self, key: Key) -> None:
        """Decide by the rules of now. What has ended stays as it was decided on."""
        self._stale.discard(key)
        known = self._young.get(key) or self._old.get(key)
        process = read_process(known.visible_pid, key[1], host_pid=key[0]) if known is not None else None
        if process is not None and known is not None:
            # From inside of a pod, /proc does not have all that the notice had.
            cgroup = choose([process.cgroup, known.cgroup])
            self._remember(dataclasses.replace(process, cgroup=cgroup))

    def _remember(self, process: Process) -> _Known:
        key = (process.pid, process.start)
        self._stale.discard(key)
        process, waits = self._waiting.take(process)
        runtime = self._versions.complete(process, runtime_of(process))
        name = name_of(process, self._order)
        resource = self._resources.of(process, name, runtime)
        service = self._by_resource.get(resource)
        if service is None:
            self._number += 1
            service = Service(self._number, name.name, runtime.language, resource)
            self._by_resource[resource] = service
        self._processes[service] = self._processes.get(service, 0) + 1
        before = self._young.get(key) or self._old.get(key)
        decision = self._discovery.decide(process, service.name, service.language)
        known = _Known(service, decision, process.visible_pid, process.cgroup)
        self._young[key] = known
        self._old.pop(key, None)
        self._own_traces.named(key, service)
        self._drop(before)  # after the new one was counted: it can be of the same service
        self._change()
        self._turn()
        if not waits:  # what a rule says of a container is not known before
            self._decided(process, service, known.decision)
        return known

    def _change(self) -> None:
        self._found.clear()
        self._changed()

    def _turn(self) -> None:
        """Make room: the young become the old, and the old that were not asked for again leave."""
        if len(self._young) < self._generation:
            return
        self._change()
        gone = {key: known for key, known in self._old.items() if key not in self._young}
        self._old, self._young = self._young, {}
        self._counts[Entry.PROCESS_EVICTED] += len(gone.keys() - self._left)  # those have ended
        for known in gone.values():
            self._drop(known)

    def _leave(self, key: Key) -> None:
        if key not in self._left and (key in self._young or key in self._old):
            self._left.add(key)
            self._waiting.forget(key)
            self._leaving.append((self._clock() + KEPT_SECONDS, key))

    def _drop(self, known: _Known | None) -> None:
        """Count one process less of a service, and tell when it was the last."""
        if known is None:
            return
        self._change()
        service = known.service
        left = self._processes[service] - 1
        if left > 0:
            self._processes[service] = left
            return
        del self._processes[service]
        del self._by_resource[service.resource]
        self._own_traces.forget(service)
        self._forgotten(service)


def _is_alive(pid: int, start: int) -> bool:
    directory = open_process(pid, start)
    if directory is None:
        return False
    with directory:
        return True
