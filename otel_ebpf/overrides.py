"""Settings of some processes (`overrides`): settled for each process, and written where they are read.

What is left to services that export spans of their own (`instrumented`) is settled here too, as an entry may
say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from otel_ebpf.config import Config
from otel_ebpf.config_overrides import Override
from otel_ebpf.config_rules import RouteRule
from otel_ebpf.identity.model import Process, Service
from otel_ebpf.identity.own_traces import OwnTraces
from otel_ebpf.identity.traits import Traits
from otel_ebpf.signals.per_service import PerService, Sample
from otel_ebpf.signals.route_rules import RouteRules
from otel_ebpf.signals.sampling import ParentBased, Sampler, make_sampler

__all__ = ["Overrides", "leaves_out_tls", "needs_start", "switched_on"]

T = TypeVar("T")

SWITCHES: Final = ("traces", "metrics", "tls")


class _Given(NamedTuple):
    """What the entries give to one process; None for what none does."""

    traces: bool | None = None
    metrics: bool | None = None
    tls: bool | None = None
    sample: Sample | None = None
    routes: tuple[RouteRule, ...] | None = None


_NOTHING: Final = _Given()


def switched_on(config: Config) -> Config:
    """Return the configuration with what an entry switches on that is off for all others.

    By it the agent is made ready. That the others are without is for `Overrides`; there are no metrics but
    those of requests where an entry alone has switched metrics on.
    """
    wanted = {name for name in SWITCHES if any(getattr(one, name) for one in config.overrides)}
    if "traces" in wanted and not config.traces.enabled:
        config = replace(config, traces=replace(config.traces, enabled=True))
    if "tls" in wanted and not config.tls.enabled:
        config = replace(config, tls=replace(config.tls, enabled=True))
    if "metrics" in wanted and not config.metrics.enabled:
        network = replace(config.network, tcp=replace(config.network.tcp, enabled=False), udp=False)
        metrics = replace(config.metrics, enabled=True, processes=False)
        config = replace(config, network=network, metrics=metrics)
    return config


def needs_start(started: Config, config: Config) -> bool:
    """Say whether entries switch on what an agent that was started with another configuration has not."""
    ready, wanted = switched_on(started), switched_on(replace(started, overrides=config.overrides))
    return any(getattr(wanted, name).enabled and not getattr(ready, name).enabled for name in SWITCHES)


def leaves_out_tls(config: Config) -> bool:
    """Say whether there may be services whose TLS is left out."""
    if config.tls.exclude_services or any(one.tls is False for one in config.overrides):
        return True
    return not config.tls.enabled and switched_on(config).tls.enabled


class Overrides:
    """Settles what holds for each service. One thread uses it, the one that reads what it writes.

    `per_service` is for the `SignalStage`, `without_tls` has those whose TLS is not read, and `apart` those
    of whose requests others cannot be told by the sampler of all, as they have none or one of their own.
    `renewed` is called with a service whose requests may have to be named or counted otherwise than before.
    """

    def __init__(
        self, config: Config, sampler: Sampler, own_traces: OwnTraces, renewed: Callable[[Service], None]
    ) -> None:
        """`sampler` is everybody's. The switches of all others are those of `config` from now on."""
        self.per_service = PerService(measures_network=config.metrics.enabled)
        self.without_tls: set[Service] = set()
        self.apart: set[Service] = set()
        self._started = config
        self._sampler = sampler
        self._left_traces = own_traces.services if config.instrumented.traces == "leave" else frozenset()
        self._left_metrics = own_traces.services if config.instrumented.metrics == "leave" else frozenset()
        own_traces.changed = self._exports
        self._renewed = renewed
        self._given: dict[Service, _Given] = {}
        self.reload(config)

    def decide(self, process: Process, service: Service) -> None:
        """Settle what holds for a process, whose service that is."""
        before = self._given.get(service)
        given = self._find(process, service) if self._entries else _NOTHING
        self._given[service] = given
        counted_otherwise = self._settle_signals(service)
        self._settle_sampler(service, given.sample)
        self._settle_routes(service, given.routes)
        tls = given.tls if given.tls is not None else self._reads_tls(service)
        _put(self.without_tls, service, there=not tls)
        self._settle_apart(service, given)
        if before is not None and (counted_otherwise or before.routes != given.routes):
            self._renewed(service)

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        self._given.pop(service, None)
        self.per_service.forget(service)
        self.without_tls.discard(service)
        self.apart.discard(service)

    def reload(self, config: Config) -> None:
        """Go by other entries, and other `tls.exclude_services`, for what is decided on from now on."""
        self._exclude_tls: Sequence[str] = config.tls.exclude_services
        self._entries = [(one, self._sample_of(one)) for one in config.overrides]
        self._compiled: dict[tuple[RouteRule, ...], RouteRules] = {}

    def _sample_of(self, entry: Override) -> Sample | None:
        if entry.sampler is None:
            return None
        ratio = 1.0 if entry.sampler_arg is None else entry.sampler_arg
        sampler = make_sampler(entry.sampler, str(ratio))
        if _alike(sampler, self._sampler):
            return self._sampler.sample
        return sampler.sample

    def _find(self, process: Process, service: Service) -> _Given:
        traits = Traits(process, service.name, service.language)
        fitting = [(entry, sample) for entry, sample in self._entries if traits.fit(entry.match)]
        return _Given(
            _first(entry.traces for entry, _ in fitting),
            _first(entry.metrics for entry, _ in fitting),
            _first(entry.tls for entry, _ in fitting),
            _first(sample for _, sample in fitting),
            _first(entry.routes for entry, _ in fitting),
        )

    def _exports(self, service: Service) -> None:
        """Whether a service exports spans of its own is another than before."""
        if self._settle_signals(service):
            self._renewed(service)

    def _settle_signals(self, service: Service) -> bool:
        """Settle whether there are spans of a service, and metrics; return whether the latter has changed."""
        before = service in self.per_service.unmeasured
        given = self._given.get(service, _NOTHING)
        traces, metrics = given.traces, given.metrics
        if traces is None:
            traces = self._started.traces.enabled and service not in self._left_traces
        if metrics is None:
            metrics = self._started.metrics.enabled and service not in self._left_metrics
        _put(self.per_service.untraced, service, there=not traces)
        _put(self.per_service.unmeasured, service, there=not metrics)
        return before != (service in self.per_service.unmeasured)

    def _settle_sampler(self, service: Service, sample: Sample | None) -> None:
        if sample is None or sample == self._sampler.sample:
            self.per_service.samplers.pop(service, None)
        else:
            self.per_service.samplers[service] = sample

    def _settle_routes(self, service: Service, routes: tuple[RouteRule, ...] | None) -> None:
        if not routes:
            self.per_service.routes.pop(service, None)
            return
        rules = self._compiled.get(routes)
        if rules is None:
            rules = self._compiled[routes] = RouteRules(routes)
        self.per_service.routes[service] = rules

    def _settle_apart(self, service: Service, given: _Given) -> None:
        off = given.traces is False or (given.traces is None and not self._started.traces.enabled)
        _put(self.apart, service, there=off or service in self.per_service.samplers)

    def _reads_tls(self, service: Service) -> bool:
        excluded = any(fnmatchcase(service.name, glob) for glob in self._exclude_tls)
        return self._started.tls.enabled and not excluded


def _first(values: Iterable[T | None]) -> T | None:
    return next((one for one in values if one is not None), None)


def _put(services: set[Service], service: Service, *, there: bool) -> None:
    if there:
        services.add(service)
    else:
        services.discard(service)


def _alike(one: Sampler, other: Sampler) -> bool:
    return isinstance(one, ParentBased) == isinstance(other, ParentBased) and one.bound == other.bound
