"""A real Prometheus with its OTLP receiver, and what its own API says (programs/prometheus)."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from integration.harness.build import go_module
from integration.harness.limits import PATIENCE, slack
from integration.harness.ports import free_port
from integration.harness.program import Program

__all__ = ["Prometheus", "prometheus"]

_CONFIGURATION = "otlp: {promote_resource_attributes: [process.pid]}\n"


@dataclass(frozen=True)
class Prometheus:
    """Port of a running one."""

    port: int

    @property
    def metrics_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, by http/protobuf."""
        return f"http://127.0.0.1:{self.port}/api/v1/otlp/v1/metrics"

    def query(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Evaluate PromQL now; return the values by those labels, of which no two may have the same."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=slack(PATIENCE)) as answer:
            result = json.load(answer)["data"]["result"]
        found = {
            tuple(one["metric"].get(label, "") for label in labels): float(one["value"][1]) for one in result
        }
        assert len(found) == len(result), result
        return found


@contextmanager
def prometheus() -> Iterator[Prometheus]:
    """Run one on loopback, built without what finds targets to scrape."""
    made = Prometheus(free_port())
    program = go_module(
        "prometheus", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/prometheus"
    )
    with TemporaryDirectory(prefix="prometheus-") as folder:
        path = Path(folder, "prometheus.yml")
        path.write_text(_CONFIGURATION)
        command = [program, f"--config.file={path}", f"--storage.tsdb.path={folder}/data"]
        command += ["--web.enable-otlp-receiver", f"--web.listen-address=127.0.0.1:{made.port}"]
        with Program(command, port=made.port):
            yield made
