"""A real OpenTelemetry Collector, with the components that are named in programs/collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from integration.harness.backend import Backend
from integration.harness.build import go_module
from integration.harness.program import Program

__all__ = ["Relay", "collector"]

_QUIET = {"service": {"telemetry": {"metrics": {"level": "none"}}}}
"""Its own metrics would be on a port that two of them cannot share."""


@contextmanager
def collector(
    *configurations: Path | Mapping[str, Any], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run one on configurations that are merged, later ones over earlier, and wait until it has `port`.

    Raises ProgramError with its log if it does not come to that.
    """
    with TemporaryDirectory(prefix="collector-") as folder:
        words = []
        for number, one in enumerate((*configurations, _QUIET)):
            path = one if isinstance(one, Path) else Path(folder, f"{number}.yaml")
            if not isinstance(one, Path):
                path.write_text(yaml.safe_dump(dict(one)))
            words.append(f"--config={path}")
        with Program([go_module("collector"), *words], port=port, environment=environment) as program:
            yield program


@dataclass(frozen=True)
class Relay:
    """A Collector's ports for OTLP, which passes on what comes there, and the answers that it gets."""

    grpc: int
    http: int
    tls: bool = False

    def environment(self, protocol: str) -> dict[str, str]:
        """Return what sends an agent there by `grpc` or `http/protobuf`."""
        port = self.grpc if protocol == "grpc" else self.http
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http{'s' if self.tls else ''}://localhost:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_INSECURE": str(not self.tls).lower(),
        }

    @contextmanager
    def running(
        self,
        backend: Backend,
        server: Mapping[str, Any] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> Iterator[Program]:
        """Run the Collector; `server` are more settings of both ports.

        It keeps nothing: what it has accepted, the backend has.
        """
        settings = server or {}
        protocols = {
            "grpc": {"endpoint": f"127.0.0.1:{self.grpc}", **settings},
            "http": {"endpoint": f"127.0.0.1:{self.http}", **settings},
        }
        onward = {
            "endpoint": backend.endpoint,
            "tls": {"insecure": True},
            "sending_queue": {"enabled": False},
            "retry_on_failure": {"enabled": False},
        }
        pipeline = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
        configuration = {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {"otlp_grpc": onward},
            "extensions": dict(extensions or {}),
            "service": {
                "extensions": list(extensions or ()),
                "pipelines": {"traces": pipeline, "metrics": pipeline},
            },
        }
        with collector(configuration, port=self.http) as program:
            yield program
