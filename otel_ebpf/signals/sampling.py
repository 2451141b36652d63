"""Which calls become spans: the six samplers of OTEL_TRACES_SAMPLER.

They decide as the SDK's do, which a test compares. They are written anew because the SDK's cost
about 4 us a decision; these cost 0.1.
"""

from __future__ import annotations

import logging
from typing import Protocol

from otel_ebpf.kernel.records import ContextSource

DEFAULT = "parentbased_always_on"
NO_PARENT = b"\0" * 8
ALL = 1 << 64
_ROOT = int(ContextSource.ROOT)
_HEADER = int(ContextSource.HEADER)
_DECIDED = int(ContextSource.DECIDED)
_SAMPLED = 1  # W3C trace flags

_logger = logging.getLogger(__name__)


class Sampler(Protocol):
    """Decides for one call whether its span is exported.

    `bound` is from 0 to `ALL`: without a parent that decides, spans are sampled whose trace id's lower half
    is below it.
    """

    bound: int

    def sample(self, trace_id: bytes, parent_id: bytes, flags: int, source: int) -> bool:
        """Return True to export the call's span; `flags` and `source` are those of its context."""


class AlwaysOn:
    """`always_on`."""

    bound = ALL

    def sample(self, trace_id: bytes, parent_id: bytes, flags: int, source: int) -> bool:
        """Return True."""
        return True


class AlwaysOff:
    """`always_off`."""

    bound = 0

    def sample(self, trace_id: bytes, parent_id: bytes, flags: int, source: int) -> bool:
        """Return False."""
        return False


class TraceIdRatio:
    """`traceidratio`: the low 64 bits of the trace id lie below `ratio` of their range.

    Raises ValueError when `ratio` is not from 0 to 1.
    """

    def __init__(self, ratio: float) -> None:
        if not 0.0 <= ratio <= 1.0:
            raise ValueError("the ratio must be from 0.0 to 1.0")
        self.bound = round(ratio * ALL)
        # Nine bytes: the bound of 1.0 does not fit into eight. Bytes compare as big-endian numbers do.
        self._bound = self.bound.to_bytes(9, "big")

    def sample(self, trace_id: bytes, parent_id: bytes, flags: int, source: int) -> bool:
        """Return True if the trace id is among the sampled."""
        return b"\0" + trace_id[8:] < self._bound


class ParentBased:
    """`parentbased_*`: as the parent was sampled; without a parent, as `root` decides.

    A parent that was seen here and not told of by a `traceparent` was sampled by `root` too, which says the
    same of every span of a trace.
    """

    def __init__(self, root: Sampler) -> None:
        self.bound = root.bound
        self._root = root.sample
        self._always = isinstance(root, AlwaysOn)

    def sample(self, trace_id: bytes, parent_id: bytes, flags: int, source: int) -> bool:
        """Return the parent's sampled flag, or what the root sampler says."""
        if source > _ROOT and parent_id != NO_PARENT and (source == _HEADER or source & _DECIDED):
            return flags & _SAMPLED != 0
        return self._always or self._root(trace_id, parent_id, flags, source)


def make_sampler(name: str = "", argument: str = "") -> Sampler:
    """Return the sampler by the values of OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.

    Empty is unset: `parentbased_always_on`. An unknown name, or an argument that is no ratio, is
    said in a warning, and the default (ratio 1.0) is used, as the SDK does.
    """
    key = name.strip().lower() or DEFAULT
    based, root = _root_sampler(key, argument)
    if root is None:
        _logger.warning(
            "OTEL_TRACES_SAMPLER %r is unknown: using %s; set it to one of docs/configuration.md",
            name,
            DEFAULT,
        )
        based, root = True, AlwaysOn()
    return ParentBased(root) if based else root


def _root_sampler(key: str, argument: str) -> tuple[bool, Sampler | None]:
    root = key.removeprefix("parentbased_")
    based = root != key
    if root == "always_on":
        return based, AlwaysOn()
    if root == "always_off":
        return based, AlwaysOff()
    if root == "traceidratio":
        return based, TraceIdRatio(_ratio(argument))
    return based, None


def _ratio(argument: str) -> float:
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        _logger.warning(
            "OTEL_TRACES_SAMPLER_ARG %r is not a number from 0.0 to 1.0: sampling everything until it is one",
            argument,
        )
        return 1.0
    return ratio
