"""The spans that a backend received, flattened for assertions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SERVER = 2
CLIENT = 3
KINDS = {SERVER: "server", CLIENT: "client"}

_MARK = re.compile(r"[?&]n=([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class SeenSpan:
    """One span as it came over OTLP. Times are Unix nanoseconds; `kind` is OTLP's number."""

    name: str
    kind: int
    start: int
    end: int
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    trace_state: str
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        """`service.name` of its resource."""
        return str(self.resource.get("service.name", ""))

    @property
    def pid(self) -> int:
        """`process.pid` of its resource."""
        return int(self.resource.get("process.pid", 0))

    @property
    def duration(self) -> int:
        """Nanoseconds from the first byte to the last."""
        return self.end - self.start

    @property
    def status(self) -> int:
        """HTTP status code, 0 when there was no response."""
        return int(self.attributes.get("http.response.status_code", 0))

    @property
    def method(self) -> str:
        """`http.request.method`."""
        return str(self.attributes.get("http.request.method", ""))

    @property
    def port(self) -> int:
        """The service's port, 0 for none (unix sockets)."""
        return int(self.attributes.get("server.port", 0))

    @cached_property
    def target(self) -> str:
        """Path and query, whichever attributes hold them."""
        if "url.full" in self.attributes:
            return "/" + str(self.attributes["url.full"]).split("://", 1)[-1].partition("/")[2]
        query = self.attributes.get("url.query", "")
        return str(self.attributes.get("url.path", "")) + (f"?{query}" if query else "")

    @cached_property
    def mark(self) -> str:
        """The value of the query's `n`, by which tests recognise their requests; "" for none."""
        found = _MARK.search(self.target)
        return found[1] if found else ""

    def __str__(self) -> str:
        kind = KINDS.get(self.kind, str(self.kind))
        return (
            f"{kind} {self.name!r} {self.method} {self.target} -> {self.status} "
            f"in {self.duration / 1e6:.3f} ms, {self.service} ({self.pid}) port {self.port} "
            f"{'error ' + str(self.attributes.get('error.type')) if self.is_error else ''}"
        )


def describe(spans: Iterable[SeenSpan]) -> str:
    """One line a span, for the message of a failed assertion."""
    return "\n".join(f"  {span}" for span in sorted(spans, key=lambda span: span.start)) or "  (none)"
