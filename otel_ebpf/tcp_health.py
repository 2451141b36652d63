"""TCP's health on its way: from the kernel's maps, by the processes that it is of, into metrics.

Looking takes the kernel up to 0.1 s, nearly all of it waiting: that happens on a thread of its own, some time
before each collection. Counting what it has found is the caller's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from otel_ebpf.identity.services import Services
from otel_ebpf.kernel.attacher import Attacher, in_pid_namespace
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.ledger import Entry, Shard
from otel_ebpf.kernel.messages import Sweep
from otel_ebpf.kernel.tcp_peers import TcpPeer, TcpPeers
from otel_ebpf.signals.tcp_metrics import TcpMetrics

__all__ = ["TcpHealth"]

logger = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 10.0
"""A process is forgotten 15 s after its exit: what was counted for it is to be taken before."""

LEAD_SECONDS: Final = 0.25
"""How long before a collection the sweep begins."""


class _Look(NamedTuple):
    """What was begun. Without a sweep nothing is told of what is open."""

    swept: bool
    found: Future[list[TcpPeer]]


class TcpHealth:
    """One thread uses it. Its methods never raise. `clock` is monotonic, in seconds."""

    def __init__(  # noqa: PLR0917 (as the stages are given them)
        self,
        attacher: Attacher,
        peers: TcpPeers,
        services: Services,
        metrics: TcpMetrics,
        shard: Shard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._attacher = attacher
        self._peers = peers
        self._services = services
        self._metrics = metrics
        self._counts = shard.counts
        self._clock = clock
        self._sees_all = not in_pid_namespace()
        self._beside = ThreadPoolExecutor(1, "tcp")
        self._look: _Look | None = None
        self._swept = False  # since the last collection
        self._drain_at = clock() + DRAIN_SECONDS
        self._complained = False

    def start(self) -> None:
        """Begin: connections that are open already count from here on."""
        try:
            self._attacher.handle(Sweep())
            self._peers.start()
        except KernelError as error:
            self._complain(error)

    def tick(self, due: float) -> None:
        """Count what was found, and look again when it is time: `due` seconds before the next collection."""
        if self._look is not None and self._look.found.done():
            self._settle(self._look)
        if self._look is not None:
            return
        if due <= LEAD_SECONDS:
            if not self._swept:
                self._begin(sweep=True)
        elif self._clock() >= self._drain_at:
            self._begin(sweep=False)

    def collect(self) -> None:
        """Count all there is, a sweep included; waits for it where `tick` has not come to that."""
        if self._look is not None:
            self._settle(self._look)
        if not self._swept:
            self._settle(self._begin(sweep=True))
        self._swept = False

    def finish(self) -> None:
        """Have the last collection look once more, whatever was looked at before; then the thread ends."""
        if self._look is not None:
            self._settle(self._look)
        self._settle(self._begin(sweep=True))
        self._beside.shutdown()

    def _begin(self, sweep: bool) -> _Look:
        self._drain_at = self._clock() + DRAIN_SECONDS
        self._look = _Look(sweep, self._beside.submit(self._find, sweep))
        return self._look

    def _find(self, sweep: bool) -> list[TcpPeer]:
        if sweep:
            self._attacher.handle(Sweep())
        return self._peers.take()

    def _settle(self, look: _Look) -> None:
        self._look = None
        self._swept |= look.swept
        try:
            taken = look.found.result()
        except KernelError as error:
            self._complain(error)
            return
        if look.swept:
            self._metrics.begin_active()
        for peer in taken:
            self._count(peer)

    def _count(self, peer: TcpPeer) -> None:
        process, start = peer.process, peer.start
        service = self._services.holder(process, start, process if self._sees_all else 0)
        if service is None:
            self._counts[Entry.SIGNAL_TCP_PROCESS_UNKNOWN] += 1
        elif not peer.overflow and not self._services.lets_through(process, start, peer.port):
            self._counts[Entry.SIGNAL_TCP_DISCOVERY] += 1
        else:
            self._metrics.count(service, peer)

    def _complain(self, error: KernelError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "the metrics of TCP are incomplete: %s; network.tcp.enabled: false leaves them out", error
            )
