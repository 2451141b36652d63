"""What is not the same for all services: of most, nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from otel_ebpf.identity.model import Service
from otel_ebpf.signals.route_rules import RouteRules

__all__ = ["PerService", "Sample"]

Sample = Callable[[bytes, bytes, int, int], bool]
"""A `Sampler`'s `sample`."""


@dataclass(frozen=True)
class PerService:
    """Read by the `SignalStage` for each call, and written by who settles it, on the same thread.

    Where nothing is there, the hot path pays for a look at an empty set.
    """

    untraced: set[Service] = field(default_factory=set)
    """Of these no spans are made."""

    unmeasured: set[Service] = field(default_factory=set)
    """The requests of these are in no metric."""

    samplers: dict[Service, Sample] = field(default_factory=dict)
    """Who decides on the spans of these, instead of the stage's sampler."""

    routes: dict[Service, RouteRules] = field(default_factory=dict)
    """Rules that are tried before the others."""

    measures_network: bool = True
    """Whether lookups of names and TLS handshakes are in metrics, of any service."""

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        self.untraced.discard(service)
        self.unmeasured.discard(service)
        self.samplers.pop(service, None)
        self.routes.pop(service, None)
