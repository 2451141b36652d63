"""Bytes that leave a host for each span, and for each point of a metric: plain, and by gzip.

    python -m benchmarks.wire [--seconds S] [--quick]

wrk calls nginx as browsers do, and the agent sends by http/protobuf to a receiver that keeps the requests:
their bodies, without what HTTP and TCP add. What is measured does not depend on how fast the host is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import options
from benchmarks.load import warm, wrk
from benchmarks.results import Check, Result, publish
from benchmarks.servers import nginx
from benchmarks.tracing import only
from integration.harness.agent import Agent
from integration.harness.limits import wait_until
from tests.otlp_receiver import METRICS, TRACES, OtlpReceiver, Request, decode_metrics, decode_spans

AS_USERS = {"OTEL_BSP_SCHEDULE_DELAY": "", "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
SAMPLED = 50
"""Requests of each signal that are decoded, evenly spread."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Requests of a signal, and what was in them."""

    items: int
    plain: int
    compressed: int

    def checks(self, what: str, unit: str) -> list[Check]:
        return [
            Check(f"{what}, plain", self.plain / self.items, unit),
            Check(f"{what}, by gzip", self.compressed / self.items, unit),
        ]


def measure(seconds: int) -> tuple[Sent, Sent]:
    """Return spans, and points of metrics."""
    with (
        nginx() as server,
        OtlpReceiver() as receiver,
        Agent(
            endpoint=receiver.http_endpoint,
            protocol="http/protobuf",
            config={**only("nginx"), "telemetry": {"metrics": False}},
            environment={**AS_USERS, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"},
        ) as agent,
    ):
        warm(server.port)
        wrk(server.port, seconds, script="browser.lua")
        assert wait_until(lambda: agent.ledger()["export_in_flight"] == 0)
        assert wait_until(lambda: receiver.requests(METRICS))
        requests = receiver.requests(accepted=True)
    spans = count([one for one in requests if one.signal == TRACES], lambda body: len(decode_spans(body)))
    points = count(
        [one for one in requests if one.signal == METRICS],
        lambda body: sum(len(metric.points) for metric in decode_metrics(body)),
    )
    return spans, points


def count(requests: Sequence[Request], items: Callable[[bytes], int]) -> Sent:
    """Look into some of the requests."""
    chosen = requests[:: max(1, len(requests) // SAMPLED)]
    assert chosen, "nothing was sent"
    return Sent(
        sum(items(one.body) for one in chosen),
        sum(len(one.body) for one in chosen),
        sum(int(one.headers["content-length"]) for one in chosen),
    )


def main() -> None:
    chosen = options.parse(__doc__, rounds=1, seconds=5)
    spans, points = measure(chosen.seconds)
    found = [*spans.checks("a span", "bytes"), *points.checks("a point of a metric", "bytes")]
    publish(Result("wire", found), chosen.folder)


if __name__ == "__main__":
    main()
