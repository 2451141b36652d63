"""Which processes export spans of their own, by what they do: they send them.

An SDK that is only loaded, or switched off, sends none, and one that is compiled in cannot be seen
otherwise. Who passes on what others send (a collector, a proxy before one) receives it too, and
is none. Requests that carry a `traceparent` say nothing: proxies pass them on.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from otel_ebpf.identity.model import Service
from otel_ebpf.kernel.records import Role
from otel_ebpf.kernel.vantage import Vantage

__all__ = ["OwnTraces", "is_export_path", "overhears_export"]

logger = logging.getLogger(__name__)

KEPT = 8192

HTTP_PATH = "/v1/traces"  # OTLP/HTTP's default; what a gateway puts before it stays before it
GRPC_PATH = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# The same by the Huffman code of HPACK (RFC 7541, appendix B), but for the last, shared byte.
_GRPC_CODED = bytes.fromhex(
    "60f596a49682d254d9e97aec3a4eb90f4505224f62e9b0642afdc2befb0642ee2d9dcc42b183cd67b1"
)


def is_export_path(path: str) -> bool:
    """Say whether that is where spans are sent to, by OTLP over HTTP or gRPC."""
    return path.endswith(HTTP_PATH) or path == GRPC_PATH.decode()


def overhears_export(data: bytes) -> bool:
    """Say whether HTTP/2 bytes have the header field of a call of OTLP's trace service.

    It is in full the first time on a connection, and a number afterwards.
    """
    return GRPC_PATH in data or _GRPC_CODED in data


class OwnTraces:
    """Processes that export spans, and their `services`; `changed` is told of each that comes or goes.

    One thread uses it.
    """

    def __init__(self) -> None:
        self.services: set[Service] = set()
        self.changed: Callable[[Service], None] = _nothing
        self._sends: OrderedDict[tuple[int, int], bool] = OrderedDict()  # False: passes on what it receives

    def exported(self, vantage: Vantage, service: Service) -> None:
        """Take notice of an export: of one that the process sends, or of one that it receives."""
        key = (vantage.process, vantage.process_start)
        if vantage.role == Role.SERVER:
            self._sends[key] = False
            self.forget(service)
        elif vantage.role == Role.CLIENT and key not in self._sends:
            self._sends[key] = True
            self._add(service)
            logger.info("%s (process %d) exports spans of its own", service.name, vantage.process)
            if len(self._sends) > KEPT:
                self._sends.popitem(last=False)

    def named(self, key: tuple[int, int], service: Service) -> None:
        """A process is of another service than before: more is known of it now."""
        if self._sends.get(key):
            self._add(service)

    def restarted(self, key: tuple[int, int], service: Service) -> None:
        """By exec the process is another program, and of another service."""
        self._sends.pop(key, None)
        self.forget(service)

    def forget(self, service: Service) -> None:
        """A service has gone, or exports none."""
        if service in self.services:
            self.services.discard(service)
            self.changed(service)

    def _add(self, service: Service) -> None:
        if service not in self.services:
            self.services.add(service)
            self.changed(service)


def _nothing(_: Service) -> None:
    """Stand in for a callback that nobody asked for."""
