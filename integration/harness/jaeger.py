"""A real Jaeger, which keeps its traces in memory, and what its own API says of them (programs/jaeger)."""

from __future__ import annotations

import gzip
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from integration.harness.build import PROGRAMS, go_module
from integration.harness.limits import PATIENCE, slack
from integration.harness.lookups import INTERNAL
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.spans import CLIENT, SERVER, SeenSpan

__all__ = ["Jaeger", "jaeger"]

_KINDS = {"internal": INTERNAL, "server": SERVER, "client": CLIENT}
_MOST_TRACES = 10_000


@dataclass(frozen=True)
class Jaeger:
    """Ports of a running one: OTLP by gRPC and by HTTP, and its page and API."""

    grpc: int
    http: int
    query: int

    @property
    def url(self) -> str:
        """Of its page."""
        return f"http://127.0.0.1:{self.query}"

    def ask(self, path: str, **what: object) -> Any:
        """Return the `data` of an answer of the API."""
        url = f"{self.url}/api/{path}?{urllib.parse.urlencode(what)}"
        with urllib.request.urlopen(url, timeout=slack(PATIENCE)) as answer:
            return json.load(answer)["data"]

    def services(self) -> list[str]:
        """Return the names that it has seen."""
        return sorted(self.ask("services") or ())

    def spans(self, service: str) -> list[SeenSpan]:
        """Return all spans of all traces in which a service has one."""
        traces = self.ask("traces", service=service, limit=_MOST_TRACES)
        return [
            _flatten(span, trace["processes"][span["processID"]])
            for trace in traces
            for span in trace["spans"]
        ]


def _flatten(span: Mapping[str, Any], process: Mapping[str, Any]) -> SeenSpan:
    tags = _values(span["tags"])
    parents = [one["spanID"] for one in span["references"] if one["refType"] == "CHILD_OF"]
    assert len(parents) < 2, span
    start = span["startTime"] * 1000
    return SeenSpan(
        name=span["operationName"],
        kind=_KINDS[tags.pop("span.kind")],
        start=start,
        end=start + span["duration"] * 1000,
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent_id=parents[0] if parents else "",
        is_error=tags.pop("error", False),
        trace_state=tags.pop("w3c.tracestate", ""),
        attributes=tags,
        resource={**_values(process["tags"]), "service.name": process["serviceName"]},
    )


def _values(tags: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in tags}


@contextmanager
def jaeger() -> Iterator[Jaeger]:
    """Run one on loopback."""
    made = Jaeger(free_port(), free_port(), free_port())
    program = go_module("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
    with TemporaryDirectory(prefix="jaeger-") as folder:
        path = Path(folder, "jaeger.yaml")
        path.write_text(yaml.safe_dump(_configuration(made, _page(Path(folder, "page")))))
        with Program([program, f"--config={path}"], port=made.query):
            yield made


def _configuration(made: Jaeger, page: Path) -> dict[str, Any]:
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{made.grpc}"},
                    "http": {"endpoint": f"127.0.0.1:{made.http}"},
                }
            }
        },
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
        "extensions": {
            "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": _MOST_TRACES}}}},
            "jaeger_query": {
                "storage": {"traces": "memory"},
                "ui": {"assets_path": str(page)},
                "http": {"endpoint": f"127.0.0.1:{made.query}"},
                "grpc": {"endpoint": f"127.0.0.1:{free_port()}"},
            },
        },
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }


def _page(target: Path) -> Path:
    """Unpack the page, whose files lie compressed in the module that has them."""
    words = ["go", "list", "-m", "-mod=mod", "-f", "{{.Dir}}", "github.com/tonistiigi/jaeger-ui-rest"]
    done = subprocess.run(words, cwd=PROGRAMS / "jaeger", check=True, capture_output=True, text=True)
    source = Path(done.stdout.strip(), "public")
    for file in source.rglob("*"):
        if file.is_file():
            unpacked = target / file.relative_to(source)
            unpacked.parent.mkdir(parents=True, exist_ok=True)
            unpacked.write_bytes(gzip.decompress(file.read_bytes()))
    return target
