"""What leaves the agent is what docs/signals.md says: no span, metric or attribute beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from integration.conftest import Traced
from integration.harness.limits import PATIENCE, slack, wait_until
from integration.harness.measured import drive
from integration.harness.rungs import RUNGS
from integration.harness.servers import threaded
from integration.harness.spans import SeenSpan
from otel_ebpf.export.self_telemetry import OWN_METRICS
from otel_ebpf.signals import names
from otel_ebpf.signals.catalogue import METRIC_ATTRIBUTES, SPANS, SpanShape
from tests.otlp_receiver import ReceivedMetric

StartAgent = Callable[..., Traced]

NOBODY = 1
"""A port at which nobody listens."""

OWN = {(one.name, one.monotonic): one for one in OWN_METRICS}


def _shape(span: SeenSpan) -> SpanShape:
    """Return what it is declared as: by its kind, and by how its name begins."""
    of_kind = [one for one in SPANS if span.kind in one.kinds]
    if len(of_kind) == 1:
        return of_kind[0]
    (found,) = [one for one in of_kind if span.name.startswith(one.name.partition(" {")[0])]
    return found


def _check_metric(metric: ReceivedMetric) -> None:
    attributes = {name for point in metric.points for name in point.attributes}
    if "process.pid" not in metric.resource:  # another agent on this host is a service like any other
        declared = OWN[metric.name, metric.monotonic]
        assert metric.unit == declared.unit, metric.name
        assert attributes <= set(declared.attributes), metric.name
    else:
        assert attributes <= {*METRIC_ATTRIBUTES[metric.name], names.OTEL_METRIC_OVERFLOW}, metric.name


def _run(*command: str) -> None:
    subprocess.run(command, check=False, timeout=slack(PATIENCE), stdout=subprocess.DEVNULL)


def test_everything_that_comes_is_declared(start_agent: StartAgent) -> None:
    """Requests by name, failing ones, and connections that are refused, of a server and its clients."""
    with threaded() as server:
        mine = [{"pids": [server.program.pid]}, {"executable": "*/curl"}, {"executable": "*/getent"}]
        own = {"metrics": {"processes": True}, "telemetry": {"bpf_statistics": True}}
        traced = start_agent(RUNGS[0], config={"discovery": {"include": mine}, **own})
        wanted = {names.HTTP_SERVER_REQUEST_DURATION, names.TCP_CONNECT_FAILURES, names.PROCESS_CPU_TIME}
        wanted |= {names.DNS_LOOKUP_DURATION, "ebpf.program.runs", "ebpf.probe.attached"}

        def all_has_come() -> bool:
            drive(server.port, ["/status/503?a=b"])
            _run("curl", "-s", f"http://127.0.0.1:{server.port}/json?n=1")
            _run("curl", "-s", f"http://127.0.0.1:{NOBODY}/")
            _run("getent", "ahosts", "localhost")
            came = {one.name for one in traced.backend.receiver.metrics()}
            return wanted <= came and {*SPANS[:3], SPANS[4]} <= {
                _shape(one) for one in traced.backend.spans()
            }

        assert wait_until(all_has_come, every=0.3)
        for span in traced.backend.spans():
            assert span.attributes.keys() <= _shape(span).attributes, span
        for metric in traced.backend.receiver.metrics():
            _check_metric(metric)
