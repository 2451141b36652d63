"""The agent: the stages wired together; start, loop, stop.

One thread, the caller's, reads the ring buffer and takes each record all the way to an encoded
span. Sending, converting metrics and answering `doctor` have threads of their own, and none of
them can hold this one up.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from otel_ebpf.collection import Collection
from otel_ebpf.config import Config
from otel_ebpf.control import Control
from otel_ebpf.environment import Environment
from otel_ebpf.export.own import Own
from otel_ebpf.export.pipeline import STOP_SECONDS, Pipeline
from otel_ebpf.health import GRACE_SECONDS, Health, Pulse
from otel_ebpf.identity.detectors import Detectors
from otel_ebpf.identity.discovery import Decision, Discovery
from otel_ebpf.identity.model import Attributes, Process, Service
from otel_ebpf.identity.naming import namers
from otel_ebpf.identity.own_traces import OwnTraces
from otel_ebpf.identity.resource import Resources, own_attributes
from otel_ebpf.identity.selection import Selection
from otel_ebpf.identity.services import Services
from otel_ebpf.identity.sources import Sources
from otel_ebpf.inject import inject_request
from otel_ebpf.intake import Intake
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.clock import boot_to_unix_ns
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.injection import INJECT
from otel_ebpf.kernel.ladder import PAYLOAD, STATISTICS, TCP_STATE, TCP_SWEEP, UDP_CLOSE, UDP_IO
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.ledger_entries import KERNEL_ENTRIES
from otel_ebpf.kernel.likeness import Likenesses
from otel_ebpf.kernel.memory import give_back_memory, share_one_heap
from otel_ebpf.kernel.messages import (
    Attach,
    Attached,
    CountProbes,
    Detach,
    Inject,
    ProbeCounts,
    Standing,
    Walk,
    Walked,
)
from otel_ebpf.kernel.misses import Misses
from otel_ebpf.kernel.pace import Pace
from otel_ebpf.kernel.program_runs import ProgramRuns
from otel_ebpf.kernel.reader import BATCH_BYTES, Reader
from otel_ebpf.kernel.records import Exchange, Piece
from otel_ebpf.kernel.ring_buffer import RingBuffer
from otel_ebpf.kernel.tables import Tables
from otel_ebpf.kernel.tcp_peers import TcpPeers
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.overrides import Overrides, leaves_out_tls, switched_on
from otel_ebpf.placement import Placement
from otel_ebpf.probing.watch import BY_PROCESS_MAX, Watch
from otel_ebpf.protocols.stage import ProtocolStage
from otel_ebpf.signals.http_shape import active_attributes
from otel_ebpf.signals.instruments import Instruments
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.request_metrics import RequestMetrics
from otel_ebpf.signals.routes import Routes
from otel_ebpf.signals.sampling import make_sampler
from otel_ebpf.signals.stage import SignalStage
from otel_ebpf.signals.tcp_metrics import TcpMetrics
from otel_ebpf.tcp_health import TcpHealth

if TYPE_CHECKING:
    from otel_ebpf.process_health import ProcessHealth

__all__ = ["Agent", "attach_request"]

logger = logging.getLogger(__name__)

TICK: Final = 0.1
SILENCE_NS: Final = 120_000_000
"""With a tick on top, what only silence can tell is told within 250 ms."""

FORGET_NS: Final = 60_000_000_000
LAST_READ_SECONDS: Final = 0.3
_NOTHING_SEEN: Final = "no request can be seen on this kernel: `otel-ebpf doctor` says why, and what to do"


def attach_request(
    config: Config, ids: TraceIds, inject: Inject | None = None, metrics: bool = True
) -> Attach:
    """Return what the configuration asks of the attacher; `metrics` is whether any are exported."""
    without_tls = leaves_out_tls(config)
    config = switched_on(config)
    capture = config.capture
    return Attach(
        rung=None if capture.rung == "auto" else capture.rung,
        request_bytes=capture.request_bytes,
        response_bytes=capture.response_bytes,
        piece_bytes=capture.piece_bytes,
        ring_bytes=capture.ring_bytes,
        connections=capture.connections,
        processes=capture.processes,
        id_secret=ids,
        tls=config.tls.enabled,
        dns=config.dns.enabled,
        dns_packets=config.dns.enabled and config.dns.packets,
        runtimes=bool(config.traces.runtimes) and config.traces.enabled,
        tls_left_out=without_tls,
        started_threads=config.traces.started_threads,
        network_part=config.traces.network and config.traces.enabled,
        network_tcp=config.network.tcp.enabled and config.metrics.enabled and metrics,
        network_udp=config.network.udp and config.metrics.enabled and metrics,
        tcp_connections=config.network.tcp.connections,
        tcp_peers=config.network.tcp.peers,
        inject=inject,
        statistics=config.telemetry.bpf_statistics,
    )


def _say_what_is_refused(standings: Sequence[Standing]) -> None:
    for standing in standings:
        if standing.rung or not standing.refusals:
            continue
        reason = standing.refusals[-1].reason
        if standing.capability == INJECT:
            text = "traces.inject is refused, requests are left as they are: %s; see docs/traces.md"
            logger.warning(text, reason, extra={"reason": reason})
        elif standing.capability == STATISTICS:
            text = (
                "no run times of BPF programs: %s; grant CAP_SYS_ADMIN, or take telemetry.bpf_statistics out"
            )
            logger.warning(text, reason, extra={"reason": reason})


class Agent:
    """Made, `start`ed, `run` until `stopping` is set, and stopped, by one thread."""

    def __init__(
        self,
        config: Config,
        environment: Environment,
        build_pipeline: Callable[[Ledger], Pipeline],
        attacher: Attacher | None = None,
        metrics: bool = True,
        *,
        new_config: Callable[[], Config | None] = lambda: None,
    ) -> None:
        """`metrics` is whether the pipeline will want any, which is known before it is built.

        `new_config` is asked once a second for a configuration that takes the place of `config`.
        """
        self._new_config = new_config
        self.stopping = False  # not an Event: its lock cannot be taken by a handler that interrupts another
        self.ledger = Ledger()
        self.health = Health()
        self._pulse = Pulse("reads the kernel's records", GRACE_SECONDS)
        self.standings: tuple[Standing, ...] = ()
        self._started_with = config
        self._config = switched_on(config)
        self._environment = environment
        self._build_pipeline = build_pipeline
        self._attacher = attacher or Attacher()
        self._exports_metrics = metrics
        self._shard = self.ledger.shard()
        self._ids = TraceIds(secrets.randbits(64), secrets.randbits(64))
        self._discovery = Discovery(config.discovery)
        self._sampler = make_sampler(environment.sampler, str(environment.sampler_ratio))
        self.started = time.time_ns()
        self.own_attributes = own_attributes(environment.resource_attributes)
        self._clock_offset = boot_to_unix_ns()
        self._placement = Placement()
        self._sources = Sources(config, self.ledger.shard())
        self._detectors = Detectors(environment.resource_detectors)
        self._resources = Resources(environment.resource_attributes)

    def start(self) -> None:
        """Attach, and make the exporters meanwhile. Raises KernelError, RungUnavailableError."""
        share_one_heap()
        self._sources.start()
        self._detectors.start()
        with ThreadPoolExecutor(1, "build") as beside:
            building = beside.submit(self._build_pipeline, self.ledger)
            inject = inject_request(self._config, self._sampler)
            request = attach_request(self._started_with, self._ids, inject, self._exports_metrics)
            attached = self._attacher.handle(request)
            pipeline = building.result()
        give_back_memory()
        assert isinstance(attached, Attached)
        self.standings = attached.standings
        _say_what_is_refused(self.standings)
        self._tables = Tables(attached.maps)
        self._watch = Watch(
            self._attacher,
            self._tables,
            self._config.tls,
            self._config.traces,
            self._discovery.only_pids(BY_PROCESS_MAX),
            self._config.dns,
        )
        self._watch.start()
        self._misses = Misses(attached.programs, attached.links)
        timed = any(one.rung for one in self.standings if one.capability == STATISTICS)
        self._runs = ProgramRuns(attached.loaded if timed else ())
        self._tables.set_port_rules(self._discovery.port_rules())
        self._own_traces = OwnTraces()
        self._overrides = Overrides(self._started_with, self._sampler, self._own_traces, self._renewed)
        self._control = Control(
            self._attacher,
            self._tables,
            self._discovery,
            self._overrides.without_tls,
            inject=Selection(self._config.traces.inject) if "inject_sockets" in attached.maps else None,
            not_injected=self._overrides.apart,
        )
        self._ring = RingBuffer(attached.maps["records"], self._config.capture.ring_bytes)
        self._likenesses = Likenesses()
        self._reader = Reader(self._ring, self._shard, self._likenesses)
        self._pipeline = pipeline
        self._make_stages(pipeline)
        self._tcp = self._make_tcp(attached)
        self._processes = self._make_processes()
        pipeline.start()
        self.health.pulses = (self._pulse, self._collection.pulse, *pipeline.pulses())
        self.health.ready("" if self._sees_requests() else _NOTHING_SEEN)

    def _sees_requests(self) -> bool:
        return any(one.rung for one in self.standings if one.capability == PAYLOAD)

    def _make_stages(self, pipeline: Pipeline) -> None:
        config, environment = self._config, self._environment
        self._resources.learn(self._detectors.take())
        self._services = Services(
            self._resources,
            self._discovery,
            namers(config.services),
            decided=self._decided,
            forgotten=self._forget,
            changed=self._likenesses.clear,
            shard=self._shard,
            surroundings=self._sources.surroundings(),
            wait_seconds=config.containers.wait_milliseconds / 1000,
            own_traces=self._own_traces,
        )
        instruments = Instruments(self.started, config.metrics.series_limit)
        counted = config.metrics.enabled and pipeline.wants_metrics
        self._metrics = (
            RequestMetrics(instruments, config.metrics.body_sizes, config.metrics.active_requests)
            if counted
            else None
        )
        self._protocols = ProtocolStage(
            self._shard,
            self._ids,
            self._control,
            self._unsupported,
            self._overheard,
            max_connections=config.capture.connections,
        )
        self._signals = SignalStage(
            self._shard,
            lambda: self._clock_offset,
            self._sampler,
            Routes(config.routes.rules, config.routes.learn, config.routes.limit),
            Redaction(config.redaction.query, config.redaction.query_keys),
            self._metrics,
            pipeline.emit if config.traces.enabled and pipeline.wants_spans else None,
            self._likenesses.clear,
            config.dns.spans,
            config.traces.network,
            self._overrides.per_service,
            self._sources.peer_names,
        )
        self._intake = Intake(
            shard=self._shard,
            services=self._services,
            watch=self._watch,
            control=self._control,
            likenesses=self._likenesses,
            protocols=self._protocols,
            signals=self._signals,
            own_traces=self._own_traces,
        )
        own = config.telemetry.metrics and pipeline.wants_metrics
        self._collection = Collection(
            pipeline.metrics,
            environment.metric_temporality,
            instruments if counted else None,
            self.own_counts if own else None,
            self.started,
            own_attributes=self.own_attributes,
        )

    def _make_tcp(self, attached: Attached) -> TcpHealth | None:
        """Make what counts TCP's health and UDP, and have it begin, where that is wanted and can be had."""
        standing = {one.capability for one in attached.standings if one.rung}
        tcp = self._config.network.tcp.enabled and TCP_STATE in standing
        udp = self._config.network.udp and standing & {UDP_IO, UDP_CLOSE, TCP_SWEEP}
        if self._metrics is None or not (tcp or udp):
            return None
        metrics = TcpMetrics(self._metrics.instruments, processes=self._config.metrics.processes)
        peers = TcpPeers(attached.maps)
        health = TcpHealth(self._attacher, peers, self._services, metrics, self._shard)
        health.start()
        return health

    def _make_processes(self) -> ProcessHealth | None:
        if self._metrics is None or not self._config.metrics.processes:
            return None
        # psutil and what belongs to it: 2 MB.
        from otel_ebpf.process_health import ProcessHealth  # noqa: PLC0415
        from otel_ebpf.signals.process_metrics import ProcessMetrics  # noqa: PLC0415

        return ProcessHealth(self._services, ProcessMetrics(self._metrics.instruments))

    def run(self) -> None:
        """Read until `stopping` is set."""
        interval = self._environment.metric_export_interval_ms / 1000
        now = time.monotonic()
        tick = now + TICK
        second = now + 1.0
        collection = now + interval
        pace = Pace()
        self._pulse.begin()
        while not self.stopping:
            self._pulse.beat()
            if not (taken := self._take_batch()):
                self._ring.wait(TICK)
            else:
                self._placement.ran()
                if self._ring.pending() < BATCH_BYTES:
                    time.sleep(pace.pause(taken))
            now = time.monotonic()
            if now >= tick:
                tick = now + TICK
                self._tick()
                if self._tcp is not None:
                    self._tcp.tick(collection - now)
                if self._processes is not None:
                    self._processes.tick(collection - now)
            if now >= second:
                second = now + 1.0
                self._clock_offset = boot_to_unix_ns()
                self._services.sweep()
                if detected := self._detectors.take():
                    self._resources.learn(detected)
                    self._services.renew()
                if (config := self._new_config()) is not None:
                    self._reload(config)
                self._placement.settle()
                self._collection.make_room()
            if now >= collection:
                collection = now + interval
                self._collect(self._services.ended())

    def stop(self) -> None:
        """Read what is left, detach, send what can be sent. Takes less than 2 s."""
        self.health.stopping()
        self._pulse.end()
        deadline = time.monotonic() + LAST_READ_SECONDS
        self._watch.stop()
        self._tick()
        while self._take_batch() and time.monotonic() < deadline:
            pass
        self._sources.stop()
        self._intake.settle(at_once=True)
        if self._tcp is not None:
            self._tcp.finish()
        self._collect()
        if self._processes is not None:
            self._processes.stop()
        self._collection.stop()
        with ThreadPoolExecutor(1, "detach") as beside:
            kernel = self.totals()[:KERNEL_ENTRIES]  # gone with the hooks
            detached = beside.submit(self._attacher.handle, Detach())
            self._pipeline.stop(STOP_SECONDS - LAST_READ_SECONDS)
            detached.result()
        self.final_totals = kernel + self.ledger.totals()[KERNEL_ENTRIES:]
        self._ring.close()

    def totals(self) -> list[int]:
        """Return the whole ledger, indexed by `Entry`: the kernel's half and user space's. Any thread."""
        totals = self.ledger.totals()
        walked = self._attacher.handle(Walk(SILENCE_NS, FORGET_NS))
        totals[:KERNEL_ENTRIES] = self._tables.ledger_totals()
        assert isinstance(walked, Walked)
        totals[Entry.EXCHANGE_IN_FLIGHT] = walked.in_flight
        totals[Entry.EVENT_MISSED] = self._misses.total()
        return totals

    def own_counts(self) -> Own:
        """Return what the agent counts of its own. Any thread; raises `KernelError` when it has stopped."""
        probes = self._attacher.handle(CountProbes())
        assert isinstance(probes, ProbeCounts)
        return Own(
            self.totals(),
            self._tables.tls_bindings(),
            self._tables.injected(),
            self._pipeline.queues(),
            probes,
            self._runs.read(),
        )

    def probing(self) -> dict[str, Any]:
        """Return what is to be told of probes in programs, as JSON has it. Any thread."""
        return {
            "tls": self._watch.tls(),
            "runtimes": self._watch.runtimes(),
            "injected": self._tables.injected(),
            "dns": {"libraries": self._watch.resolvers()},
        }

    def _take_batch(self) -> int:
        records, alike = self._reader.read()
        self._protocols.passed(len(alike))
        self._signals.again(alike)
        for record in records:
            self._intake.take(record)
        self._control.flush()
        return len(records) + len(alike)

    def _collect(self, ended: Set[Service] = frozenset()) -> None:
        """Collect the metrics; the active requests are what a walk finds open right now."""
        metrics = self._metrics
        if metrics is not None and metrics.active_requests:
            metrics.begin_active()
            self._attacher.handle(Walk(SILENCE_NS, FORGET_NS, count_active=True))
            for (service, attributes), number in self._active_requests().items():
                metrics.set_active(service, attributes, number)
        if self._tcp is not None:
            self._tcp.collect()
        if self._processes is not None:
            self._processes.collect()
        self._collection.collect(ended)

    def _active_requests(self) -> Mapping[tuple[Service, Attributes], int]:
        """Sum the open requests by service and method; those of processes not known yet are left out."""
        found: dict[tuple[Service, Attributes], int] = {}
        for process, start, request, encrypted, number in self._tables.take_active_requests():
            service = self._services.known(process, start)
            if service is not None and service not in self._overrides.per_service.unmeasured:
                key = (service, active_attributes(request, tls=encrypted))
                found[key] = found.get(key, 0) + number
        return found

    def _tick(self) -> None:
        self._attacher.handle(Walk(SILENCE_NS, FORGET_NS, only_due=True))
        self._intake.expire(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        if (names := self._sources.peer_names) is not None and names.changed():
            self._signals.renamed()

    def _decided(self, process: Process, service: Service, decision: Decision) -> None:
        self._overrides.decide(process, service)
        self._control.decided(process, service, decision)

    def _renewed(self, service: Service) -> None:
        self._signals.renew(service)

    def _forget(self, service: Service) -> None:
        self._signals.forget(service)
        self._overrides.forget(service)

    def _reload(self, config: Config) -> None:
        """Select, name and override by a new configuration; the rest of it is for the next start."""
        discovery = Discovery(config.discovery)
        if discovery.only_pids(BY_PROCESS_MAX) != self._discovery.only_pids(BY_PROCESS_MAX):
            logger.warning("probes stay in the programs that they are in: start anew for others")
        self._overrides.reload(config)
        self._services.reload(discovery, namers(config.services))
        self._discovery = discovery
        try:
            self._control.reload(discovery)
        except KernelError as error:
            logger.error("the new rules are in force in part: %s; name fewer ports in them", error)
            return
        logger.info("the configuration has been read again")

    def _overheard(self, record: Exchange | Piece) -> None:
        self._intake.overheard(record)

    def _unsupported(self, record: Exchange | Piece, protocol: str) -> None:
        self._signals.handshakes.closed(record)  # no call will come
        service = self._services.service_of(record.vantage)
        logger.info("%s speaks %s, which is recognised but not read yet", service.name, protocol)
        if self._metrics is not None:
            self._metrics.unsupported(service, protocol)
