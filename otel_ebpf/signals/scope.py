"""The instrumentation scope that this project's spans and metrics are made under."""

from __future__ import annotations

from opentelemetry.semconv.schemas import Schemas

from otel_ebpf import __version__

SCOPE_NAME = "otel-ebpf"
SCOPE_VERSION = __version__
SCHEMA_URL = Schemas.V1_44_0.value
