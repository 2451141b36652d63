"""Calls as the protocols stage hands them over, for the tests of the signals stage."""

from __future__ import annotations

import contextlib
import ssl
import struct
from typing import Any

from otel_ebpf.identity.model import Service
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.records import ContextSource, End, Exchange, Piece, Role, Transport
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.protocols.calls import Call, HttpCall, HttpRequest
from otel_ebpf.signals.http import HttpSpans
from otel_ebpf.signals.instruments import Instruments
from otel_ebpf.signals.per_service import PerService
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.request_metrics import RequestMetrics
from otel_ebpf.signals.routes import Routes
from otel_ebpf.signals.sampling import make_sampler
from otel_ebpf.signals.span import Span
from otel_ebpf.signals.stage import SignalStage

SECOND = 10**9
BOOT_TO_UNIX = 1_700_000_000 * SECOND
CLIENT, SERVER = int(Role.CLIENT), int(Role.SERVER)
INET, INET6, UNIX = 2, 10, 1


def ipv4(text: str) -> bytes:
    return bytes(map(int, text.split("."))) + b"\0" * 12


def tls(
    version: int = 0x0304, cipher: int = 0x1302, protocol: int = 2, resumed: int = 0, alert: int = 0
) -> bytes:
    """Return struct tls_facts."""
    return struct.pack("<HHBBBB", version, cipher, protocol, resumed, alert, 0)


def client_hello(name: str | None = "shop.example") -> bytes:
    """Return the first flight of OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


NO_SOCKET: dict[str, Any] = {
    "transport": int(Transport.UNKNOWN),
    "family": 0,
    "server_port": 0,
    "client_port": 0,
    "server_address": bytes(16),
    "client_address": bytes(16),
}
"""What a record says where the session's socket is not known."""


def service(name: str = "shop", number: int = 1) -> Service:
    return Service(number, name, "python", (("service.name", name),))


SHOP = service()

_VANTAGE: dict[str, Any] = {
    "transport": int(Transport.TCP),
    "family": INET,
    "role": SERVER,
    "process_start": 1,
    "cgroup": 1,
    "process": 10,
    "agent_process": 10,
    "server_address": ipv4("10.0.0.1"),
    "network_namespace": 1,
    "server_port": 8080,
}
_HEADER: dict[str, Any] = {
    "kind": 1,
    "end": int(End.LENGTH),
    "error": 0,
    "flags": 0,
    "lost": 0,
    "tls": bytes(8),
    "connection": 77,
    "offset": 0,
    "time": SECOND,
    "socket": 1,
    "client_port": 40000,
    "client_address": ipv4("10.0.0.2"),
    "trace_id": b"\x01" * 16,
    "span_id": b"\x02" * 8,
    "parent_id": b"\0" * 8,
    "trace_flags": 0,
    "context_source": int(ContextSource.ROOT),
}


def record(**changes: Any) -> Exchange:
    """Return an exchange; `changes` are of its own fields or of its vantage's."""
    fields = dict.fromkeys(Exchange._fields, 0) | {"request": b"", "response": b"", "path": b""}
    return Exchange(**(fields | _HEADER | _seen_from(changes)))


def _seen_from(changes: dict[str, Any]) -> dict[str, Any]:
    vantage = _VANTAGE | {name: value for name, value in changes.items() if name in _VANTAGE}
    own = {name: value for name, value in changes.items() if name not in _VANTAGE}
    return own | {"vantage": Vantage(**vantage)}


def piece(**changes: Any) -> Piece:
    fields = {"length": 1, "captured": 0, "direction": 0, "path_captured": 0, "data": b"", "path": b""}
    return Piece(**(_HEADER | fields | _seen_from(changes)))


def value(**changes: Any) -> HttpCall:
    asked: dict[str, Any] = {
        "method": "GET",
        "path": "/",
        "query": "",
        "host": "shop.example:8080",
        "version": "1.1",
        "user_agent": "curl/8",
        "forwarded_for": "",
    }
    answered: dict[str, Any] = {"status": 200, "request_body": 0, "response_body": 10}
    asked |= {name: value for name, value in changes.items() if name in asked}
    answered |= {name: value for name, value in changes.items() if name not in asked}
    return HttpCall(HttpRequest(**asked), **answered)


def call(http: HttpCall | None = None, of: Exchange | Piece | None = None, **changes: Any) -> Call:
    opened = of if of is not None else record()
    fields: dict[str, Any] = {
        "record": opened,
        "value": http if http is not None else value(),
        "start": SECOND,
        "response_start": SECOND + 1000,
        "end": SECOND + 2_000_000,
        "how": opened.end,
        "error": opened.error,
        "trace_id": opened.trace_id,
        "span_id": opened.span_id,
        "parent_id": opened.parent_id,
        "trace_flags": opened.trace_flags,
        "context_source": opened.context_source,
    }
    return Call(**(fields | changes))


def attributes(span: Span) -> dict[str, Any]:
    pairs = span.attributes
    assert len(dict(pairs)) == len(pairs), "an attribute twice"
    return dict(pairs)


def signal_counts(ledger: Ledger) -> dict[str, int]:
    totals = ledger.totals()
    names = {one.name.removeprefix("SIGNAL_").lower(): totals[one] for one in Entry if "SIGNAL" in one.name}
    return {name: count for name, count in names.items() if count}


def spans(redaction: Redaction | None = None) -> HttpSpans:
    return HttpSpans(Routes(), redaction or Redaction(), lambda: None)


def span_of(one: Call, maker: HttpSpans | None = None) -> Span:
    maker = maker or spans()
    plan = maker.plan(one, SHOP)
    context = (one.trace_id, one.span_id, one.parent_id, one.trace_flags, one.context_source)
    return maker.span(plan, 5, 9, one.record.client_address, one.record.client_port, context, None)


class Bench:
    """A signals stage with everything it needs, and what came out of it."""

    def __init__(
        self,
        sampler: str = "",
        metrics: bool = True,
        traces: bool = True,
        lookup_spans: str = "all",
        network: bool = True,
        peer_names: PeerNames | None = None,
        per_service: PerService | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.spans: list[Span] = []
        self.metrics = RequestMetrics(Instruments(0)) if metrics else None
        self.stage = SignalStage(
            self.ledger.shard(),
            lambda: BOOT_TO_UNIX,
            make_sampler(sampler, "0.5" if "ratio" in sampler else ""),
            Routes(limit=20),
            Redaction(),
            self.metrics,
            self.spans.append if traces else None,
            lookup_spans=lookup_spans,
            network=network,
            peer_names=peer_names,
            per_service=per_service,
        )

    def counts(self) -> dict[str, int]:
        return signal_counts(self.ledger)
