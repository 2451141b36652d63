"""Write the tables of docs/scale.md: what fleets send, from what benchmarks/results has and what is assumed.

`python tools/generate_scale_docs.py` writes; `--check` exits 1 when the tables are not up to date.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
RESULTS = ROOT / "benchmarks" / "results"

REQUESTS = 100  # a second and host, on average, served and asked together
SERIES = 500  # of a host
EXPORT_SECONDS = 60  # OTEL_METRIC_EXPORT_INTERVAL's default
GATEWAY_SPANS = 20_000  # a second: what one gateway is given
FLEETS = {10: 1.0, 1_000: 0.1, 100_000: 0.01}  # hosts, and the share of traces that is kept
DAY = 86_400


def figure(result: str, what: str) -> float:
    """Return one that a benchmark has found."""
    checks = json.loads((RESULTS / f"{result}.json").read_text())["checks"]
    return float(next(check["value"] for check in checks if check["what"] == what))


def agent_microseconds() -> float:
    """Return the CPU time of the agent for a request, with a span of each."""
    table = json.loads((RESULTS / "overhead.json").read_text())["tables"][0]
    assert table["title"].startswith("nginx: ")
    row = next(row for row in table["rows"] if row[0] == "spans")
    return float(row[table["columns"].index("agent CPU us/request")])


@dataclass(frozen=True)
class Measured:
    """What one request costs, and what is sent."""

    agent: float = agent_microseconds()
    kernel: float = figure("bpf_cost", "socket_trace: BPF time a request")
    memory: float = figure("soak", "most resident memory")
    span: float = figure("wire", "a span, plain")
    span_gzip: float = figure("wire", "a span, by gzip")
    point: float = figure("wire", "a point of a metric, plain")
    point_gzip: float = figure("wire", "a point of a metric, by gzip")


def inputs(measured: Measured) -> Iterator[tuple[str, str, str]]:
    yield "CPU of the agent for a request", f"{measured.agent:.1f} us", "overhead: nginx, spans"
    yield "CPU in the kernel for a request", f"{measured.kernel:.1f} us", "bpf_cost: socket_trace"
    yield "memory of the agent", f"{measured.memory:.0f} MB", "soak: most, at 10,000 requests/s"
    yield "a span", f"{measured.span:.0f} bytes, {measured.span_gzip:.0f} by gzip", "wire"
    yield "a point of a metric", f"{measured.point:.0f} bytes, {measured.point_gzip:.0f} by gzip", "wire"
    yield "requests of a host", f"{REQUESTS} a second", "assumed; a span of each"
    yield "series of a host", f"{SERIES}", f"assumed; a point of each every {EXPORT_SECONDS} s"
    yield "spans of a gateway", f"{GATEWAY_SPANS:,} a second", "assumed; measure yours"


def fleets(measured: Measured) -> Iterator[tuple[str, ...]]:
    """Yield the rows, a column for each fleet."""

    def row(what: str, *cells: str) -> tuple[str, ...]:
        return (what, *cells)

    spans = {hosts: hosts * REQUESTS for hosts in FLEETS}
    kept = {hosts: hosts * REQUESTS * share for hosts, share in FLEETS.items()}
    points = {hosts: hosts * SERIES / EXPORT_SECONDS for hosts in FLEETS}
    busy = REQUESTS * (measured.agent + measured.kernel) / 1e6
    yield row("requests a second", *(f"{one:,}" for one in spans.values()))
    yield row("processors of a host that are busy with it", *([f"{busy:.2%} of one"] * len(FLEETS)))
    yield row("processors of the fleet", *(amount(busy * hosts) for hosts in FLEETS))
    yield row("memory of the fleet", *(f"{amount(measured.memory * hosts / 1000)} GB" for hosts in FLEETS))
    yield row(
        "spans, all kept: network, by gzip", *(rate(one * measured.span_gzip) for one in spans.values())
    )
    yield row("spans, all kept: a day, plain", *(daily(one * measured.span) for one in spans.values()))
    yield row("share of traces kept", *(f"{share:.0%}" for share in FLEETS.values()))
    yield row("spans kept a second", *(f"{one:,.0f}" for one in kept.values()))
    yield row("spans kept: network, by gzip", *(rate(one * measured.span_gzip) for one in kept.values()))
    yield row("spans kept: a day, plain", *(daily(one * measured.span) for one in kept.values()))
    yield row("series", *(f"{hosts * SERIES:,}" for hosts in FLEETS))
    yield row("points a second", *(f"{one:,.0f}" for one in points.values()))
    yield row("metrics: network, by gzip", *(rate(one * measured.point_gzip) for one in points.values()))
    yield row("gateways, one of them to spare", *(f"{gateways(one)}" for one in kept.values()))


def gateways(spans: float) -> int:
    return math.ceil(spans / GATEWAY_SPANS) + 1


def amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def rate(bytes_a_second: float) -> str:
    return f"{amount(bytes_a_second * 8 / 1e6)} Mbit/s"


def daily(bytes_a_second: float) -> str:
    return f"{amount(bytes_a_second * DAY / 1e9)} GB"


def tables() -> dict[str, str]:
    measured = Measured()
    columns = ("", *(f"{hosts:,} hosts" for hosts in FLEETS))
    return {
        "inputs": table(("figure", "value", "from"), inputs(measured)),
        "fleets": table(columns, fleets(measured)),
    }


def table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [columns, ("---", *["---:"] * (len(columns) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(text: str) -> str:
    for name, made in tables().items():
        begin, end = f"<!-- {name}: tools/generate_scale_docs.py -->\n", f"\n<!-- end of {name} -->"
        assert begin in text, f"docs/scale.md has no place for {name}"
        text = re.sub(f"{re.escape(begin)}.*{re.escape(end)}", f"{begin}{made}{end}", text, flags=re.DOTALL)
    return text


def main() -> int:
    before = PAGE.read_text()
    after = page(before)
    if "--check" not in sys.argv:
        PAGE.write_text(after)
    elif before != after:
        print("docs/scale.md is not up to date: run tools/generate_scale_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
