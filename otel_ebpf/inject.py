"""What the configuration and the sampler say of writing `traceparent` into requests."""

from __future__ import annotations

from otel_ebpf.config import Config
from otel_ebpf.identity.selection import Selection
from otel_ebpf.kernel.messages import Inject
from otel_ebpf.signals.sampling import ParentBased, Sampler

__all__ = ["inject_request"]


def inject_request(config: Config, sampler: Sampler) -> Inject | None:
    """Return what is to be asked of the attacher; None where nobody's requests are to be written into."""
    if not config.traces.inject or not config.traces.enabled:
        return None
    selection = Selection(config.traces.inject)
    by_parent = isinstance(sampler, ParentBased)
    return Inject(selection.any_port, selection.ports, by_parent, sampler.bound)
