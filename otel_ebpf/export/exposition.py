"""The agent's own metrics in Prometheus' text format 0.0.4, for a scrape.

Names follow the OpenTelemetry specification's "Prometheus and OpenMetrics compatibility": dots become
underscores, the unit a suffix, `_total` ends the name of what only grows. Every value comes from this
process and every name from `self_telemetry`, so that only the values of attributes need escaping.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from otel_ebpf.export.own import Own
from otel_ebpf.identity.model import Attributes
from otel_ebpf.kernel.errors import KernelError

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData, NumberDataPoint

    from otel_ebpf.export.self_telemetry import SelfTelemetry

__all__ = ["Scrape", "prometheus_text"]

KEPT_SECONDS: Final = 1.0
_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Scrape:
    """What `/metrics` is answered with. For one thread; an answer serves all who ask within a second."""

    def __init__(self, own: Callable[[], Own | None], attributes: Attributes, started: int) -> None:
        """`own` may raise `KernelError`, or return None before there is anything to tell.

        `attributes` are the resource's, `started` is Unix nanoseconds.
        """
        self._own = own
        self._attributes = dict(attributes)
        self._started = started
        self._telemetry: SelfTelemetry | None = None
        self._text: bytes | None = None
        self._until = 0.0

    def __call__(self) -> bytes | None:
        """Return the text, None where there is nothing to tell."""
        now = time.monotonic()
        if self._text is None or now >= self._until:
            self._text = self._collect()
            self._until = now + KEPT_SECONDS
        return self._text

    def _collect(self) -> bytes | None:
        try:
            own = self._own()
        except KernelError:  # it has stopped meanwhile
            return None
        if own is None:
            return None
        if self._telemetry is None:
            from otel_ebpf.export.self_telemetry import SelfTelemetry  # noqa: PLC0415 (4 MB)

            self._telemetry = SelfTelemetry(self._attributes, self._started)
        return prometheus_text(self._telemetry.collect(own, time.time_ns()))


def prometheus_text(data: MetricsData) -> bytes:
    """Return sums as counters and gauges; `data` is cumulative, and has one resource and one scope."""
    (resource,) = data.resource_metrics
    info = _labels({key: str(value) for key, value in resource.resource.attributes.items()})
    lines = ["# HELP target_info The agent.", "# TYPE target_info gauge", f"target_info{info} 1"]
    for metric in resource.scope_metrics[0].metrics:
        lines += _lines(metric)
    return "\n".join([*lines, ""]).encode()


def _lines(metric: Metric) -> Iterator[str]:
    grows = bool(getattr(metric.data, "is_monotonic", False))
    name = metric.name.replace(".", "_") + _UNITS.get(metric.unit or "", "") + ("_total" if grows else "")
    yield f"# HELP {name} {metric.description}"
    yield f"# TYPE {name} {'counter' if grows else 'gauge'}"
    points: Iterable[NumberDataPoint] = metric.data.data_points  # type: ignore[assignment]  # sums alone
    for point in points:
        yield f"{name}{_labels(point.attributes or {})} {point.value!r}"


def _labels(attributes: object) -> str:
    assert isinstance(attributes, dict)
    pairs = (
        f'{key.replace(".", "_")}="{str(value).translate(_ESCAPES)}"' for key, value in attributes.items()
    )
    joined = ",".join(pairs)
    return f"{{{joined}}}" if joined else ""
