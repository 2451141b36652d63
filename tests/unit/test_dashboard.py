"""The dashboard asks for metrics that the agent exports, by the names that Prometheus gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from otel_ebpf.export.self_telemetry import OWN_METRICS
from otel_ebpf.kernel.ledger import Ledger
from otel_ebpf.signals.handshake_shape import HandshakeShapes
from otel_ebpf.signals.instruments import Descriptor, Instruments, Kind
from otel_ebpf.signals.lookups import Lookups
from otel_ebpf.signals.process_metrics import ProcessMetrics
from otel_ebpf.signals.request_metrics import RequestMetrics
from otel_ebpf.signals.sampling import make_sampler
from otel_ebpf.signals.tcp_metrics import TcpMetrics
from tests.dashboard import DASHBOARD, Panel, expressions

UNITS = {"s": "_seconds", "By": "_bytes"}
"""Those of the agent's; units in braces are no part of a name."""


def declared() -> list[Descriptor]:
    """Return all instruments of observed services."""
    instruments = Instruments(0, 10)
    for kind in (RequestMetrics, TcpMetrics, ProcessMetrics, HandshakeShapes):
        kind(instruments)
    Lookups(Ledger().shard(), lambda: 0, make_sampler("always_on", ""), instruments, None)
    return [descriptor for descriptor, _ in instruments.collect(1).instruments]


def translated(name: str, unit: str, *, counter: bool, histogram: bool) -> set[str]:
    """Return the names of a metric's series, as the OTLP receiver of Prometheus makes them by default."""
    base = name.replace(".", "_") + UNITS.get(unit, "")
    if histogram:
        return {f"{base}_{part}" for part in ("bucket", "count", "sum")}
    return {f"{base}_total" if counter else base}


def _exported() -> Iterator[str]:
    yield "target_info"  # Prometheus' own, of each resource
    for one in declared():
        counter = one.kind in (Kind.COUNTER, Kind.OBSERVED_COUNTER)
        yield from translated(one.name, one.unit, counter=counter, histogram=one.kind is Kind.HISTOGRAM)
    for own in OWN_METRICS:
        yield from translated(own.name, own.unit, counter=own.monotonic, histogram=False)


EXPORTED = frozenset(_exported())


def asked(text: str) -> set[str]:
    """Return the names of series in PromQL; here each has labels behind it."""
    return set(re.findall(r"([a-z][a-z0-9_]*)\{", text))


def test_units_are_known() -> None:
    units = {one.unit for one in declared()}
    assert {unit for unit in units if not unit.startswith("{")} <= set(UNITS)


def test_no_panel_is_left_out() -> None:
    panels = expressions()
    assert len(panels) == DASHBOARD.read_text().count('"timeseries"') == 23
    assert panels["Requests", "Rate"] != panels["Lookups of names", "Rate"]


@pytest.mark.parametrize("panel", expressions(), ids=": ".join)
def test_every_metric_is_exported(panel: Panel) -> None:
    for expression in expressions()[panel]:
        assert asked(expression), expression
        assert asked(expression) <= EXPORTED, expression


def test_services_are_listed_by_what_is_exported() -> None:
    (variable,) = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert asked(variable["query"]["query"]) == {"target_info"}
